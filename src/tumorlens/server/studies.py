"""Studies: many files, or an archive, answered as a whole, by what ``predict`` uses for folders.

Studies are read from the disk, in place, so that none is in memory twice: the only files that the
server writes, in a folder that only its own user can open and that is gone with the answer.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tumorlens.errors import InputError
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.pixel_budget import limit_pixels
from tumorlens.imaging.study import read_study
from tumorlens.inference import records
from tumorlens.inference.classifier import Classifier, Failure
from tumorlens.inference.volume import predict_image
from tumorlens.server.uploads import Upload

Record = dict[str, Any]


def answer(
    classifier: Classifier, uploads: Sequence[Upload], pixels: int
) -> tuple[list[Record], int]:
    """Records of everything in the study, and how many files are no pictures, or answers of ours.

    ``uploads`` are one archive, one file or the files of a folder; slices of more than ``pixels``
    pixels are refused.
    """
    with tempfile.TemporaryDirectory(prefix="tumorlens-") as scratch:
        folder = Path(scratch) / "study"
        folder.mkdir()
        names = {str(folder): "study"}
        for number, upload in enumerate(uploads):
            path = folder / f"{number:05d}"
            path.write_bytes(upload.data)
            names[str(path)] = upload.name
        whole = folder / "00000" if len(uploads) == 1 else folder
        with limit_pixels(pixels):
            study = read_study(whole)
        made = [_record(classifier, image) for image in study.images]
        made += [records.record(Failure.of(path, error)) for path, error in study.failures]
    return [_renamed(one, names) for one in made], study.skipped + study.own


def _record(classifier: Classifier, image: MedicalImage) -> Record:
    try:
        return records.record(predict_image(classifier, image))
    except InputError as error:
        return records.record(Failure.of(image.source, error))


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """``value`` with the client's names for the paths in the temporary folder."""
    if isinstance(value, dict):
        return {key: _renamed(one, names) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(one, names) for one in value]
    if isinstance(value, str):
        for path in sorted(names, key=len, reverse=True):
            value = value.replace(path, names[path])
    return value
