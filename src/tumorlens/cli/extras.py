"""What ``tumorlens predict`` writes beside the answers."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from tumorlens.bundle import BundleInfo
    from tumorlens.inference.classifier import Classifier
    from tumorlens.inference.record import Result
    from tumorlens.inference.stream import Watch
    from tumorlens.inference.volume import Answered
    from tumorlens.reporting.study_report import Entry

    Passing = Callable[[Iterator[Result]], Iterator[Result]]

_ODD: Final = re.compile(r"[^\w.-]+")
_LONGEST_STEM: Final = 80


class Extras:
    """Is shown images as they are answered, and sees all results pass."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        """For ``predict_inputs``."""
        self.finish: Callable[[], None] = lambda: None
        """To be called when all results have passed."""
        self._watches: list[Watch] = []
        self._passing: list[Passing] = []

    @classmethod
    def wanted(
        cls, classifier: "Classifier", heatmaps: Path | None, html: Path | None,
        dicom: Path | None, maps: Path | None = None,
    ) -> Self:  # fmt: skip
        """Those that are asked for: a folder for each, or a file."""
        extras = cls()
        if heatmaps is not None:
            files = _HeatmapFiles(heatmaps)
            extras.add(files.watch, files.pass_through, explain=True)
        if html is not None:
            study = _StudyFile(html, classifier.bundle.info)
            extras.add(study.watch, study.pass_through, explain=True)
            extras.finish = study.finish
        if dicom is not None:
            extras.add(_dicom_writer(dicom))
        if maps is not None:
            extras.add(attention_writer(maps))
        return extras

    def add(
        self, watch: "Watch", passing: "Passing | None" = None, *, explain: bool = False
    ) -> None:
        """Take one more; with ``explain`` it needs heatmaps."""
        self._watches.append(watch)
        self._passing += [passing] if passing else []
        self.settings["watch"] = self._watch
        self.settings["explain"] = explain or self.settings.get("explain", False)

    def pass_through(self, results: "Iterator[Result]") -> "Iterator[Result]":
        """Pass ``results`` on through all that wants to see them."""
        for one in self._passing:
            results = one(results)
        return results

    def _watch(self, answered: "Answered") -> None:
        for watch in self._watches:
            watch(answered)


class _HeatmapFiles:
    """Writes an image of each answer below a folder as it goes by.

    Of a volume the slice that decides. A tumour, or what is uncertain, has the map of where the
    network sees tumour; no tumour has none. Files are named ``NUMBER-NAME.png``, by the place in
    the list of inputs.
    """

    def __init__(self, folder: Path) -> None:
        """Make ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._drawn: dict[int, bytes | None] = {}

    def watch(self, answered: "Answered") -> None:
        """Draw what is at hand just before its answer comes."""
        from tumorlens.reporting.answer_image import png_of

        # By identity: a study's answers are kept until all of them are there.
        self._drawn[id(answered.answer)] = png_of(answered.image, answered.answer)

    def pass_through(self, results: Iterator["Result"]) -> Iterator["Result"]:
        """Pass ``results`` on, which ``watch`` was shown as ``predict_inputs`` does."""
        for number, result in enumerate(results, start=1):
            drawn = self._drawn.pop(id(result), None)
            if drawn is not None:
                (self._folder / f"{numbered_name(number, result.path)}.png").write_bytes(drawn)
            yield result


class _StudyFile:
    """Gathers an entry for each answer as it goes by, and writes the report at the end."""

    def __init__(self, path: Path, info: "BundleInfo") -> None:
        self._path = path
        self._info = info
        self._entries: list[Entry] = []
        self._drawn: dict[int, Entry] = {}
        self._with_images = 0

    def watch(self, answered: "Answered") -> None:
        """Draw what is at hand just before its answer comes."""
        # By identity: a study's answers are kept until all of them are there.
        self._drawn[id(answered.answer)] = self._entry(answered.answer, answered)

    def pass_through(self, results: "Iterator[Result]") -> "Iterator[Result]":
        """Pass ``results`` on, which ``watch`` was shown as ``predict_inputs`` does."""
        for result in results:
            drawn = self._drawn.pop(id(result), None)
            self._entries.append(drawn or self._entry(result, None))
            yield result

    def _entry(self, result: "Result", answered: "Answered | None") -> "Entry":
        from tumorlens.reporting.study_report import WITH_IMAGES, entry

        with_images = answered is not None and self._with_images < WITH_IMAGES
        self._with_images += with_images
        return entry(result, answered, with_images=with_images)

    def finish(self) -> None:
        """Write the file."""
        from datetime import UTC, datetime

        from tumorlens.reporting import study_report

        study_report.write(self._path, self._entries, self._info, datetime.now(UTC))


def _dicom_writer(folder: Path) -> "Watch":
    """Return what writes the objects of each DICOM series below ``folder``.

    Files are named by their SOP Instance UID, so a second run over the same files with the same
    model replaces what the first one wrote. What is not DICOM gets none.
    """
    from tumorlens.reporting.dicom_answer import dicom_answer, is_dicom

    folder.mkdir(parents=True, exist_ok=True)

    def write(answered: "Answered") -> None:
        if is_dicom(answered.image):
            for made in dicom_answer(answered):
                (folder / f"{made.sop_instance_uid}.dcm").write_bytes(made.data)

    return write


def attention_writer(folder: Path) -> "Watch":
    """Return what writes the map of each reported tumour below ``folder``.

    NIfTI files are named ``NUMBER-NAME.nii.gz``, by the place among the images that were answered,
    DICOM files by their SOP Instance UID. Files that do not state slice positions get none.
    """
    import gzip

    from tumorlens.errors import InputError
    from tumorlens.imaging.nifti_mask import as_nifti
    from tumorlens.reporting.attention_map import as_dicom, attention_mask
    from tumorlens.reporting.dicom_answer import is_dicom

    folder.mkdir(parents=True, exist_ok=True)
    answered = 0

    def write(one: "Answered") -> None:
        nonlocal answered
        answered += 1
        image, mask = one.image, attention_mask(one)
        if mask is None:
            return
        if not image.is_volume and (image.facts is None or not image.facts.slices):
            raise InputError(
                f"{image.source}: no map, because the image does not state its position"
            )
        data = gzip.compress(as_nifti(mask, image), mtime=0)
        (folder / f"{numbered_name(answered, image.source)}.nii.gz").write_bytes(data)
        if is_dicom(image):
            made = as_dicom(mask, image, one.answer)
            (folder / f"{made.sop_instance_uid}.dcm").write_bytes(made.data)

    return write


def numbered_name(number: int, source: str) -> str:
    """Name of a file about the image ``source``: its place and its own name, without suffixes."""
    name = Path(source).stem.removesuffix(".nii")
    return f"{number:05d}-{_ODD.sub('_', name)[:_LONGEST_STEM]}"
