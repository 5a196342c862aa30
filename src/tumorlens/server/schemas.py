"""The documents that go over the wire, for OpenAPI.

Records are those of ``inference.record``, from whose definition their schemas are generated; what
the server adds to one, and what goes around them, is defined here.
"""

from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from tumorlens.inference.record import (
    Failure,
    Prediction,
    StudyPrediction,
    VolumePrediction,
    schema_of,
)
from tumorlens.labels import RESEARCH_NOTICE

COMPONENTS: Final = "#/components/schemas/"


class Sides(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """R and L, A and P (front and back), H and F (head and feet); two letters where oblique."""

    left: str
    right: str
    top: str
    bottom: str


class Preview(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decoded image; with `preview=true`."""

    png: Annotated[str, Meta(description="Base64 of a 16-bit gray PNG.")]
    low: Annotated[float, Meta(description="Intensity of the value 0.")]
    high: Annotated[float, Meta(description="Intensity of the value 65535.")]
    height: int
    width: int
    sides: Annotated[
        Sides | None,
        Meta(description="Of the patient, at its edges; null where the file does not state them."),
    ]


class ImagePrediction(Prediction, frozen=True, kw_only=True):
    """The answer for one image, as the server gives it."""

    preview: Annotated[Preview | None, Meta(description="With `preview=true`.")] = None


class Record(BaseModel):
    """The answer for one file, or what is wrong with it."""

    kinds: ClassVar[tuple[type, ...]] = (ImagePrediction, VolumePrediction, Failure)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Refer to the generated components."""
        return {"anyOf": [{"$ref": f"{COMPONENTS}{kind.__name__}"} for kind in cls.kinds]}


class StudyRecord(Record):
    """The answer for a study, a series, a volume or an image, or what is wrong with a file."""

    kinds: ClassVar = (StudyPrediction, VolumePrediction, Prediction, Failure)


def record_components() -> dict[str, Any]:
    """The records' schemas, for the OpenAPI document's components."""
    return dict(schema_of((*Record.kinds, *StudyRecord.kinds), COMPONENTS)[1])


class Predictions(BaseModel):
    """One record a file, in the order they were sent."""

    predictions: list[Record]
    notice: str = Field(description=RESEARCH_NOTICE)


class StudyAnswers(BaseModel):
    """The study's answer first; then one record a series, volume or image, and one for each file
    that cannot be used."""

    predictions: list[StudyRecord]
    skipped: int = Field(description="Files that are not images, or that tumorlens wrote.")
    notice: str = Field(description=RESEARCH_NOTICE)


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`urn:tumorlens:problem:` and a stable word.")
    title: str
    status: int
    detail: str


class Features(BaseModel):
    """What this server offers beyond single images."""

    studies: bool = Field(description="Whether `POST /v1/studies` is there.")


class LoadedModel(BaseModel):
    """A model that answers here."""

    name: str
    version: str
    sha256: str = Field(description="Hash of the ONNX file.")
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
