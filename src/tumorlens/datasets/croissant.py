"""A manifest as Croissant metadata (MLCommons, version 1.0): JSON-LD that data catalogues read.

It describes the table and the meaning of its columns. Licence, address and description are not in
the manifest; the publisher of the set states them.
http://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

import dataclasses
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from tumorlens.datasets.manifest import INTEGERS, Manifest, stated_columns
from tumorlens.datasets.tables import is_parquet
from tumorlens.errors import ManifestError

CONFORMS_TO: Final = "http://mlcommons.org/croissant/1.0"
_DESCRIPTIONS: Final = {
    "path": "The image's file, relative to the manifest.",
    "class": "What the image shows.",
    "split": "The folder that the image came in: training, testing or empty.",
    "sha256": "Of the file's bytes.",
    "pixel_sha256": "Of the decoded pixels; empty where the file cannot be decoded.",
    "width": "Pixels in a row.",
    "height": "Rows of pixels.",
    "mode": "How the pixels are stored.",
    "group": "Patient, or cluster of images that may be of one patient; never split it.",
    "source": "The collection that the image is from.",
    "family": "Sources that may share patients.",
    "sequence": "The MR sequence, where it is known.",
    "plane": "The orientation of the slice, where it is known.",
    "mask": "An outline of the tumour, relative to the manifest.",
    "patient": "The patient, where it is known.",
    "source_class": "The class that the source states, where it differs.",
    "skull_stripped": "1 where only the brain is shown, 0 where the head is.",
    "orientation": "How the image lies relative to its mask.",
}


@dataclasses.dataclass(frozen=True, slots=True)
class About:
    """Facts about the set that a manifest does not contain; empty ones are left out."""

    name: str
    description: str = ""
    licence: str = ""
    """An address, or an SPDX identifier."""
    url: str = ""


def describe(manifest: Manifest, file: Path, about: About) -> dict[str, Any]:
    """The JSON-LD for the manifest in ``file``, to be written into the same folder.

    Raises ``ManifestError`` if that is a folder of files: they have no hash in common.
    """
    if file.is_dir():
        raise ManifestError(f"{file}: is a folder; only a manifest in one file can be described")
    context = files("tumorlens").joinpath("datasets", "croissant_context.json").read_bytes()
    table = "manifest"
    parquet = is_parquet(file)
    stated = {"license": about.licence, "url": about.url}
    return {
        "@context": msgspec.json.decode(context),
        "@type": "sc:Dataset",
        "name": about.name,
        "description": about.description or _summary(manifest),
        "conformsTo": CONFORMS_TO,
        **{key: value for key, value in stated.items() if value},
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": table,
                "name": file.name,
                "contentUrl": file.name,
                "encodingFormat": "application/x-parquet" if parquet else "text/csv",
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "images",
                "name": "images",
                "description": "One record for each image.",
                "key": {"@id": "images/path"},
                "field": [_field(name, table) for name in stated_columns(file)],
            }
        ],
    }


def _field(name: str, table: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"images/{name}",
        "name": name,
        "description": _DESCRIPTIONS.get(name, name.replace("_", " ")),
        "dataType": "sc:Integer" if name in INTEGERS else "sc:Text",
        "source": {"fileObject": {"@id": table}, "extract": {"column": name}},
    }


def _summary(manifest: Manifest) -> str:
    labels = sorted({record.label for record in manifest})
    return f"{len(manifest):,} images of {len(labels)} classes: {', '.join(labels)}."
