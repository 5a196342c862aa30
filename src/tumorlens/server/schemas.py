"""The documents that go over the wire, for OpenAPI. ``inference.records`` is what makes them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tumorlens.labels import CLASSES, RESEARCH_NOTICE


class Model(BaseModel):
    """Which model gave an answer."""

    name: str
    version: str
    sha256: str = Field(description="Hash of the ONNX file.")


class Pixel(BaseModel):
    """A pixel of the original picture."""

    row: int
    column: int


class Region(BaseModel):
    """A rectangle of pixels of the original picture, ends exclusive."""

    top: int
    left: int
    bottom: int
    right: int


class Square(BaseModel):
    """The part of the picture that the network saw; it may reach beyond the edges."""

    top: int
    left: int
    side: int


class Heatmap(BaseModel):
    """Where the answer comes from; with `heatmap=1` or `heatmap=grid`."""

    label: str = Field(description="The class whose evidence is shown.")
    square: Square = Field(description="What `grid` covers, in pixels of the picture.")
    grid: list[list[float]] = Field(description="Evidence as a share of its maximum, 0 to 1.")
    peak: Pixel
    box: Region | None = Field(description="Around what reaches half the maximum.")
    overlay_png: str | None = Field(None, description="Base64 PNG; with `heatmap=1`.")


class Sides(BaseModel):
    """R and L, A and P (front and back), H and F (head and feet); two letters where oblique."""

    left: str
    right: str
    top: str
    bottom: str


class Preview(BaseModel):
    """The decoded picture; with `preview=true`."""

    png: str = Field(description="Base64 of a 16-bit gray PNG.")
    low: float = Field(description="Intensity of the value 0.")
    high: float = Field(description="Intensity of the value 65535.")
    height: int
    width: int
    sides: Sides | None = Field(
        description="Of the patient, at its edges; null where the file does not state them."
    )


class FailureReason(BaseModel):
    """Why a file got no answer."""

    kind: str = Field(description="A stable word: unsupported_format, corrupt, limit, blank...")
    message: str


class Record(BaseModel):
    """The answer for one file, as `tumorlens predict --format jsonl` writes it.

    Either with `probabilities`, `label` and `model`, or with `error`.
    """

    model_config = ConfigDict(extra="allow")

    path: str = Field(description="The file's name, as it was sent.")
    label: str | None = Field(None, description="The answer; null unless it was classified.")
    decision: Literal["classified", "abstained", "rejected"] = Field(
        "classified", description="Whether the label may be used at all."
    )
    reason: str | None = Field(None, description="Why there is no label, in words.")
    probabilities: dict[str, float] | None = Field(
        None, description=f"Keyed by class: {', '.join(CLASSES)}."
    )
    prediction_set: list[str] | None = Field(
        None,
        description="Classes that are not excluded, the most probable first; null where the answer "
        "is rejected, or the model has no rule for it.",
    )
    model: Model | None = None
    notes: list[str] | None = Field(None, description="Gaps, duplicates, what was left out.")
    heatmap: Heatmap | None = None
    preview: Preview | None = None
    error: FailureReason | None = None


class Predictions(BaseModel):
    """One record a file, in the order they were sent."""

    predictions: list[Record]
    notice: str = Field(description=RESEARCH_NOTICE)


class StudyRecord(Record):
    """The answer for a series or volume as a whole, or for a picture of the study."""

    finding: dict[str, Any] | None = Field(None, description="The slices that hold the finding.")
    slices: list[dict[str, Any]] | None = Field(None, description="The answer for each slice.")
    series: dict[str, Any] | None = Field(None, description="What the files say of the series.")


class StudyAnswers(BaseModel):
    """One record a series, volume or picture, and one for each file that cannot be used."""

    predictions: list[StudyRecord]
    skipped: int = Field(description="Files that are no pictures, or that tumorlens wrote.")
    notice: str = Field(description=RESEARCH_NOTICE)


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`urn:tumorlens:problem:` and a stable word.")
    title: str
    status: int
    detail: str


class Features(BaseModel):
    """What this server offers beyond single pictures."""

    studies: bool = Field(description="Whether `POST /v1/studies` is there.")


class LoadedModel(Model):
    """A model that answers here."""

    classes: list[str]
    parameters: int
    macs: int
    image_size: int
    temperature: float
    metrics: dict[str, Any]
    intended_use: str
    licence: str


class Models(BaseModel):
    """The models of this server."""

    models: list[LoadedModel]
    features: Features
    notice: str


class Health(BaseModel):
    """That the server is there."""

    status: Literal["ok", "ready"]
