"""The record of an answer: the one definition of what JSON, CSV, table, page and report show.

The JSON Schema and the page's TypeScript types (``python scripts/write_record_schema.py``), and the
server's OpenAPI components, are generated from these structs. A field's description is written here
and nowhere else.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from tumorlens.errors import InputError
from tumorlens.labels import BRAIN_TUMORS, ClassSet

Decision = Literal["classified", "detected", "abstained", "rejected"]
CLASSIFIED: Final = "classified"
"""The kind is named, or no tumour."""
DETECTED: Final = "detected"
"""A tumour; its kind is not named."""
ABSTAINED: Final = "abstained"
"""Whether there is a tumour is uncertain."""
REJECTED: Final = "rejected"
"""Not an image to answer for."""
FAILED: Final = "failed"
"""The ``decision`` of what could not be used."""

_Share = Annotated[float, Meta(ge=0.0, le=1.0)]
_Triple = tuple[float, float, float]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that every part of a record shares."""


class ModelIdentity(_Part, frozen=True, kw_only=True):
    """Which model gave an answer."""

    name: str
    version: str
    sha256: Annotated[str, Meta(description="Hash of the ONNX file.")]
    classes: Annotated[
        ClassSet | None, Meta(description="Null if they are the four of the bundled networks.")
    ] = None

    @property
    def class_set(self) -> ClassSet:
        """The classes of the model."""
        return self.classes or BRAIN_TUMORS


class Pixel(_Part, frozen=True, kw_only=True):
    """A pixel of the original image."""

    row: int
    column: int


class Region(_Part, frozen=True, kw_only=True):
    """A rectangle of pixels of the original image, ends exclusive."""

    top: int
    left: int
    bottom: int
    right: int


class SeenSquare(_Part, frozen=True, kw_only=True):
    """The square that the network saw, in pixels; it may reach beyond the image's edges."""

    top: int
    left: int
    side: int


class Heatmap(_Part, frozen=True, kw_only=True):
    """The map of one class, at the resolution of the network, with its peak and box."""

    label: Annotated[str, Meta(description="The class whose evidence is shown.")]
    square: Annotated[SeenSquare, Meta(description="What `grid` covers.")]
    grid: Annotated[
        Sequence[Sequence[float]],
        Meta(description="(h, w), 0 to 1: evidence as a share of its maximum."),
    ]
    peak: Annotated[Pixel, Meta(description="The pixel with the most evidence.")]
    box: Annotated[
        Region | None,
        Meta(description="Around all pixels of at least half the maximum; null if none."),
    ]
    overlay_png: Annotated[
        str | None, Meta(description="Base64 PNG; only from the server, with `heatmap=1`.")
    ] = None


class SequenceAnswer(_Part, frozen=True, kw_only=True):
    """The MR sequence that the network predicts."""

    name: Annotated[str, Meta(description="T1, T1CE, T2, FLAIR or other.")]
    probability: _Share


class FailureReason(_Part, frozen=True, kw_only=True):
    """Why a file got no answer."""

    kind: Annotated[str, Meta(description="A stable word: unsupported_format, corrupt, limit...")]
    message: str


_DECISION: Final = (
    "`classified`: a tumour of a named kind, or no tumour. `detected`: a tumour whose kind is "
    'uncertain. `abstained`: it is uncertain whether there is a tumour (or, if no class means "no '
    'finding", of which kind it is). `rejected`: not a slice of head MRI. For a model with other '
    "classes, read finding instead of tumour."
)
_Label = Annotated[str | None, Meta(description="The class; null unless `classified`.")]
_Summary = Annotated[str, Meta(description="The answer in a sentence.")]
_Reason = Annotated[str, Meta(description="Why presence or kind is not reported; empty if it is.")]
_TumorProbability = Annotated[
    _Share | None,
    Meta(
        description="Of a tumour (or other finding) of any kind; null if there is no answer, or "
        'if no class means "no finding".'
    ),
]
_Probabilities = Annotated[
    dict[str, _Share] | None, Meta(description="By class; null if there is no answer.")
]
_PredictionSet = Annotated[
    tuple[str, ...] | None,
    Meta(
        description="Classes that are not excluded, the most probable first; null if no set "
        "was fitted."
    ),
]
_Sequence = Annotated[
    SequenceAnswer | None, Meta(description="Null if the model does not predict the sequence.")
]
_Notes = Annotated[
    tuple[str, ...],
    Meta(description="Caveats: gaps, duplicates, what was left out or assumed."),
]


class _Answer(_Part, frozen=True, kw_only=True):
    """What is said about an image, a volume or a study."""

    path: str
    decision: Annotated[Decision, Meta(description=_DECISION)]
    label: _Label
    summary: _Summary
    reason: _Reason
    tumor_probability: _TumorProbability
    probabilities: _Probabilities
    prediction_set: _PredictionSet = None


class Prediction(_Answer, frozen=True, kw_only=True):
    """The answer for one image."""

    sequence: _Sequence = None
    model: ModelIdentity
    notes: _Notes = ()
    heatmap: Annotated[Heatmap | None, Meta(description="Only if requested.")] = None


class SlicePrediction(_Part, frozen=True, kw_only=True):
    """The answer for one slice of a volume."""

    index: Annotated[int, Meta(description="From 0, in the order of the volume.")]
    along_mm: Annotated[
        float | None, Meta(description="Position on the normal of the slices; null if unknown.")
    ]
    center_mm: Annotated[
        _Triple | None,
        Meta(description="Its middle in the patient: mm to the left, back, head; null if unknown."),
    ] = None
    counted: Annotated[
        bool,
        Meta(description="False outside the brain, and for rejected or unusable slices."),
    ] = True
    decision: Annotated[Decision | None, Meta(description="Null for an unusable slice.")] = None
    label: _Label = None
    reason: _Reason = ""
    tumor_probability: _TumorProbability = None
    probabilities: _Probabilities = None
    prediction_set: _PredictionSet = None
    error: Annotated[FailureReason | None, Meta(description="Why it could not be used.")] = None


class Finding(_Part, frozen=True, kw_only=True):
    """Where the tumour is. Slices are counted from 0, ends included."""

    first: int
    middle: Annotated[int, Meta(description="The slice that decides; reports open on it.")]
    last: int
    position_mm: Annotated[
        _Triple | None,
        Meta(description="Its middle in the patient: mm to the left, back, head (as in DICOM)."),
    ] = None
    extent_mm: Annotated[
        _Triple | None,
        Meta(description="Approximate, of the map: along rows, along columns, across slices."),
    ] = None
    side: Annotated[
        Literal["left", "right", "midline"] | None,
        Meta(description="Of the patient; null if the file does not state it."),
    ] = None
    path: Annotated[str | None, Meta(description="The middle slice's file.")] = None
    member: Annotated[str | None, Meta(description="Its name in an archive.")] = None
    frame: Annotated[int | None, Meta(description="Its frame, from 1, in a multi-frame file.")] = (
        None
    )
    sop_instance_uid: str | None = None


class SeriesFacts(_Part, frozen=True, kw_only=True):
    """What the file states about the acquisition; null or empty if it does not."""

    modality: str | None
    body_part: str | None
    description: str | None
    number: int | None
    sequence_name: str | None
    scanning_sequence: tuple[str, ...]
    contrast_agent: str | None
    plane: str | None
    slice_spacing_mm: float | None
    pixel_spacing_mm: tuple[float, float] | None
    study_instance_uid: str | None
    series_instance_uid: str | None
    frame_of_reference_uid: Annotated[
        str | None, Meta(description="Positions of series that share this UID can be compared.")
    ] = None


class VolumePrediction(_Answer, frozen=True, kw_only=True):
    """The answer for a volume."""

    sequence: _Sequence = None
    finding: Annotated[
        Finding | None, Meta(description="Null unless a tumour is classified or detected.")
    ]
    decisive_slice: Annotated[
        int, Meta(description="Views open on it: the finding's middle, or the most suspicious.")
    ]
    is_upright_axial: Annotated[
        bool,
        Meta(description="Axial, with a known upper end; these have separate thresholds."),
    ] = False
    slices: tuple[SlicePrediction, ...]
    series: Annotated[
        SeriesFacts | None, Meta(description="What the files state about the series.")
    ]
    model: ModelIdentity
    notes: _Notes = ()
    heatmap: Annotated[
        Heatmap | None, Meta(description="Of the middle slice of the finding; only if requested.")
    ] = None


class SeriesWeight(_Part, frozen=True, kw_only=True):
    """What one series of a study contributes."""

    path: str
    series_instance_uid: str | None
    sequence: Annotated[str | None, Meta(description="Null if unknown.")]
    weight: Annotated[float, Meta(description="0 for a series that is not used.")]
    tumor_probability: _TumorProbability


class StudyPrediction(_Answer, frozen=True, kw_only=True):
    """The joint answer for the series of a study; it comes before theirs."""

    path: Annotated[
        str,
        Meta(
            description=(
                "Where the study was found: a folder or an archive, or the study's first file "
                "if other patients or visits lie there too."
            )
        ),
    ]
    study_instance_uid: str | None
    finding: Annotated[
        Finding | None, Meta(description="That of the decisive series; null if there is none.")
    ]
    members: Annotated[tuple[SeriesWeight, ...], Meta(description="One for each series.")]
    decisive_member: Annotated[
        int, Meta(description="Views open on it: the index in `members` of the decisive series.")
    ]
    model: ModelIdentity
    notes: _Notes = ()


class Failure(_Part, frozen=True, kw_only=True):
    """Stands where an answer would, for what cannot be used."""

    path: str
    error: FailureReason
    # What every answer has, so that code that shows answers need not ask which kind it is. These
    # are no part of the record.
    decision: ClassVar[Literal["failed"]] = FAILED
    label: ClassVar[None] = None
    reason: ClassVar[str] = ""
    tumor_probability: ClassVar[None] = None
    probabilities: ClassVar[None] = None
    prediction_set: ClassVar[None] = None
    notes: ClassVar[tuple[str, ...]] = ()

    @property
    def summary(self) -> str:
        """The error."""
        return self.error.message

    @classmethod
    def from_error(cls, path: str, error: InputError) -> "Failure":
        """Make the record of ``error``."""
        return cls(path=str(path), error=FailureReason(kind=error.kind, message=str(error)))


ImageAnswer = Prediction | VolumePrediction
Answer = Prediction | VolumePrediction | StudyPrediction
Result = Prediction | VolumePrediction | StudyPrediction | Failure
KINDS: Final = (Prediction, VolumePrediction, StudyPrediction, Failure)


def schema_of(kinds: Sequence[type], prefix: str) -> tuple[list[Any], Mapping[str, Any]]:
    """JSON Schemas of ``kinds``, and the definitions that they refer to below ``prefix``.

    Every field is required: what does not apply is written as null or empty, never left out.
    """
    (*schemas,), parts = msgspec.json.schema_components(kinds, ref_template=f"{prefix}{{name}}")
    for part in parts.values():
        if part.get("type") == "object" and "properties" in part:
            part["required"] = list(part["properties"])
            for field in part["properties"].values():
                field.pop("default", None)
    return schemas, parts
