"""What ``tumorlens predict`` writes beside the answers."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tumorlens.files import write_file

if TYPE_CHECKING:
    from tumorlens.bundle import BundleInfo
    from tumorlens.inference.record import Result
    from tumorlens.inference.stream import Outcome
    from tumorlens.inference.volume import Answered
    from tumorlens.reporting.study_report import Entry

_ODD: Final = re.compile(r"[^\w.-]+")
_LONGEST_STEM: Final = 80


class Extra:
    """One kind of file that is written beside the answers."""

    needs_heatmaps: bool = False

    def observe(self, answered: "Answered") -> Any:
        """Called with each image and its answer; returns what ``take`` needs of them."""

    def take(self, number: int, result: "Result", observation: Any) -> None:
        """Called with each result, in order, and what ``observe`` returned; None if there is none.

        ``number`` counts the results from 1.
        """

    def finish(self) -> None:
        """Called after all results."""


def chosen(
    info: "BundleInfo", heatmaps: Path | None, html: Path | None, dicom: Path | None,
    maps: Path | None,
) -> list[Extra]:  # fmt: skip
    """The extras for which a folder or a file is given."""
    return [
        *([HeatmapFiles(heatmaps)] if heatmaps else []),
        *([StudyFile(html, info)] if html else []),
        *([DicomObjects(dicom)] if dicom else []),
        *([AttentionMaps(maps)] if maps else []),
    ]


def results_of(outcomes: "Iterable[Outcome]", extras: Sequence[Extra]) -> "Iterator[Result]":
    """The results of ``outcomes``, after all ``extras`` have taken them."""
    for number, outcome in enumerate(outcomes, start=1):
        returned = outcome.observations or [None] * len(extras)
        for extra, observation in zip(extras, returned, strict=True):
            extra.take(number, outcome.result, observation)
        yield outcome.result


class _InFolder(Extra):
    """Writes files into a folder."""

    def __init__(self, folder: Path) -> None:
        """Make ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder


class HeatmapFiles(_InFolder):
    """Writes an image of each answer with its heatmap, ``NUMBER-NAME.png``.

    Of a volume, the decisive slice is shown. An answer "no tumour" has no heatmap.
    """

    needs_heatmaps = True

    def observe(self, answered: "Answered") -> bytes | None:
        """Draw the image."""
        from tumorlens.reporting.answer_image import png_of

        return png_of(answered.image, answered.answer)

    def take(self, number: int, result: "Result", observation: bytes | None) -> None:
        """Write the image."""
        if observation is not None:
            write_file(self._folder / f"{numbered_name(number, result.path)}.png", observation)


class StudyFile(Extra):
    """Writes a report of all answers with images."""

    needs_heatmaps = True

    def __init__(self, path: Path, info: "BundleInfo") -> None:
        self._path = path
        self._info = info
        self._entries: list[Entry] = []
        self._with_images = 0

    def observe(self, answered: "Answered") -> "Entry":
        """Make the entry of an answer, with images as long as there are not too many."""
        from tumorlens.reporting.study_report import WITH_IMAGES, entry

        with_images = self._with_images < WITH_IMAGES
        self._with_images += with_images
        return entry(answered.answer, answered, with_images=with_images)

    def take(self, number: int, result: "Result", observation: "Entry | None") -> None:  # noqa: ARG002
        """Keep the entry."""
        from tumorlens.reporting.study_report import entry

        self._entries.append(observation or entry(result))

    def finish(self) -> None:
        """Write the file."""
        from datetime import UTC, datetime

        from tumorlens.reporting import study_report

        study_report.write(self._path, self._entries, self._info, datetime.now(UTC))


class DicomObjects(_InFolder):
    """Writes the objects of each DICOM series; images of other formats get none.

    Files are named by their SOP Instance UID, so a second run over the same files with the same
    model replaces what the first one wrote.
    """

    def observe(self, answered: "Answered") -> None:
        """Write the objects."""
        from tumorlens.reporting.dicom_answer import dicom_answer, is_dicom

        if is_dicom(answered.image):
            for derived in dicom_answer(answered):
                write_file(self._folder / f"{derived.sop_instance_uid}.dcm", derived.data)


class AttentionMaps(_InFolder):
    """Writes the attention map of each reported tumour.

    NIfTI files are named ``NUMBER-NAME.nii.gz``, by the position among the answered images,
    DICOM files by their SOP Instance UID. Files that do not state slice positions get none.
    """

    _answered = 0

    def observe(self, answered: "Answered") -> None:
        """Write the map; raise ``InputError`` if the image does not state its position."""
        import gzip

        from tumorlens.errors import InputError
        from tumorlens.imaging.volumes.nifti_mask import as_nifti
        from tumorlens.reporting.attention_map import as_dicom, attention_mask
        from tumorlens.reporting.dicom_answer import is_dicom

        self._answered += 1
        image, mask = answered.image, attention_mask(answered)
        if mask is None:
            return
        if not image.is_volume and (image.facts is None or not image.facts.slices):
            raise InputError(
                f"{image.source}: no map, because the image does not state its position"
            )
        data = gzip.compress(as_nifti(mask, image), mtime=0)
        name = numbered_name(self._answered, image.source)
        write_file(self._folder / f"{name}.nii.gz", data)
        if is_dicom(image):
            derived = as_dicom(mask, image, answered.answer)
            write_file(self._folder / f"{derived.sop_instance_uid}.dcm", derived.data)


def numbered_name(number: int, source: str) -> str:
    """Name of a file about the image ``source``: its number and its own name, without suffixes."""
    name = Path(source).stem.removesuffix(".nii")
    return f"{number:05d}-{_ODD.sub('_', name)[:_LONGEST_STEM]}"
