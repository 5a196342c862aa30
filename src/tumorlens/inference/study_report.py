"""One study as one HTML file for people: every series with its answer, pictures and facts.

The file asks for nothing from any host, and a policy in it forbids that it could. It names no
patient; names of files and descriptions of series are shown as they are.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from tumorlens import __version__, reporting
from tumorlens.bundle import BundleInfo
from tumorlens.imaging import encode
from tumorlens.imaging.facts import sides_of
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.overlay import gray_with_sides
from tumorlens.inference.classifier import Classifier, Failure, Prediction
from tumorlens.inference.decision import ABSTAINED, CLASSIFIED, REJECTED
from tumorlens.inference.display import answered, displayed_slice, headline, suspicion
from tumorlens.inference.explanation import overlay
from tumorlens.inference.finding import SeriesFacts, describe
from tumorlens.inference.heatmap import Heatmap
from tumorlens.inference.postprocessing import percent
from tumorlens.inference.volume import Result, VolumePrediction, explain_slice, slice_of
from tumorlens.labels import DISPLAY_NAMES, NO_TUMOR

AnyPrediction = Prediction | VolumePrediction
PICTURED: Final = 60
"""Entries with pictures: more would make a file that no browser likes to open."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReportPicture:
    """A picture of an entry."""

    source: str
    """A data URI."""
    caption: str
    alt: str


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One series, volume or picture, or what could not be used."""

    result: Result
    facts: tuple[tuple[str, str], ...] = ()
    """Name and value, for people."""
    pictures: tuple[ReportPicture, ...] = ()
    without_pictures: bool = False
    """Whether it would have pictures, were there not so many entries."""
    study: str | None = None
    """StudyInstanceUID; None where no file states one, and of what could not be used."""

    @property
    def name(self) -> str:
        """The description of the series, or the file's name."""
        result = self.result
        if isinstance(result, VolumePrediction) and result.series and result.series.description:
            return result.series.description
        return Path(result.path).name or result.path

    @property
    def headline(self) -> str:
        """The answer, or that there is none."""
        if isinstance(self.result, Failure):
            return "Could not be used"
        return headline(self.result)

    @property
    def tone(self) -> str:
        """``classified``, ``abstained``, ``rejected`` or ``failed``."""
        return "failed" if isinstance(self.result, Failure) else self.result.decision


@dataclasses.dataclass(frozen=True, slots=True)
class Whole:
    """What the entries say together."""

    headline: str
    text: str
    tone: str


def entry(
    classifier: Classifier, result: Result, image: MedicalImage | None, *, pictured: bool = True
) -> Entry:
    """Describe and draw one result; ``image`` is what was answered, None of what failed.

    Raises ``InputError`` where a slice cannot be drawn.
    """
    if image is None or isinstance(result, Failure):
        return Entry(result)
    facts = tuple(_facts(result, image))
    study = image.facts.study_instance_uid if image.facts else None
    if not pictured:
        return Entry(result, facts, without_pictures=True, study=study)
    return Entry(result, facts, tuple(_pictures(classifier, result, image)), study=study)


def write(path: str | Path, entries: Sequence[Entry], info: BundleInfo, made: datetime) -> Path:
    """Write the report of ``entries``, made by the bundle ``info``; return its path."""
    model = next((e.result.model for e in entries if not isinstance(e.result, Failure)), None)
    return reporting.write(
        path,
        "study.html",
        entries=entries,
        whole=whole(entries) if len(entries) > 1 and are_one_study(entries) else None,
        info=info,
        sha256=model.sha256 if model else info.files.get("model.onnx", ""),
        made=made.strftime("%Y-%m-%d %H:%M %Z"),
        percent_of=percent,
        names=DISPLAY_NAMES,
        pictured=PICTURED,
        strip=strip,
        is_volume=lambda result: isinstance(result, VolumePrediction),
        version=__version__,
    )


def are_one_study(entries: Sequence[Entry]) -> bool:
    """Whether all that was answered is, by its StudyInstanceUID, one study of one patient.

    Pictures and NIfTI do not say whose they are: what lies beside each other need not belong
    together. What could not be used is taken to belong to the study that it was found in.
    """
    studies = {one.study for one in entries if not isinstance(one.result, Failure)}
    return len(studies) == 1 and None not in studies


def whole(entries: Sequence[Entry]) -> Whole:
    """What a study's entries say together: an answer only where nothing speaks against it.

    A tumour needs no other one to agree, but none to contradict it. "No tumour" is said only where
    every entry but the refused ones says so: an unsure or unreadable series may hold one.
    """
    said = Counter(label for label in map(_label, entries) if label is not None)
    tones = Counter(entry.tone for entry in entries)
    asides = [
        f"{tones[tone]} {words}"
        for tone, words in (
            ("abstained", "not sure"),
            ("rejected", "refused as no brain MRI"),
            ("failed", "could not be used"),
        )
        if tones[tone]
    ]
    counts = [f"{DISPLAY_NAMES[label]} in {n}" for label, n in said.most_common()]
    text = f"Of {len(entries)}: {', '.join([*counts, *asides])}."
    open_ones = tones["abstained"] + tones["failed"]
    if len(said) > 1:
        return Whole("No common answer", f"{text} They contradict each other.", ABSTAINED)
    if not said:
        return Whole("No answer", text, REJECTED if tones["rejected"] else ABSTAINED)
    (label,) = said
    if label == NO_TUMOR and open_ones:
        return Whole("No common answer", f"{text} What is open may hold a tumour.", ABSTAINED)
    return Whole(DISPLAY_NAMES[label].capitalize(), text, CLASSIFIED)


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """One slice in the strip of a volume."""

    left: float
    width: float
    height: float
    """Probability of any tumour, 0 to 1; 0 of a slice without an answer."""
    kind: str
    """``middle`` or ``inside`` of the finding, ``outside``, or ``none``: no answer."""


def strip(volume: VolumePrediction) -> list[Bar]:
    """The slices of a volume side by side, in units of the strip's width."""
    width = 1.0 / len(volume.slices)
    return [
        Bar(place * width, width, suspicion(volume, place), _kind(volume, place))
        for place in range(len(volume.slices))
    ]


def _label(one: Entry) -> str | None:
    return None if isinstance(one.result, Failure) else one.result.label


def _kind(volume: VolumePrediction, index: int) -> str:
    found = volume.finding
    if not answered(volume, index):
        return "none"
    if found is None or not found.first <= index <= found.last:
        return "outside"
    return "middle" if index == found.middle else "inside"


def _pictures(
    classifier: Classifier, result: AnyPrediction, image: MedicalImage
) -> Iterator[ReportPicture]:
    index, where = _slice(result, image)
    plane = slice_of(image, index)
    sides = sides_of(image.facts)
    gray = gray_with_sides(plane.pixels, sides)
    edges = f" Left is {sides.left}, top {sides.top}." if sides else ""
    yield ReportPicture(encode.data_uri(gray), f"{where}.{edges}", f"{where}.{edges}")
    heatmap = _heatmap(classifier, result, image, index)
    if heatmap is not None and heatmap.label != NO_TUMOR:
        name = DISPLAY_NAMES[heatmap.label]
        caption = f"The same under the evidence for {name}; cross: its peak, box: half of it."
        drawn = reporting.embed_png(overlay(plane, heatmap, image.facts))
        yield ReportPicture(drawn, caption, f"{where}, under the heatmap for {name}")


def _heatmap(
    classifier: Classifier, result: AnyPrediction, image: MedicalImage, index: int
) -> Heatmap | None:
    if result.heatmap is not None or result.decision == REJECTED or result.label == NO_TUMOR:
        return result.heatmap
    return explain_slice(classifier, image, index, result.label)


def _slice(result: AnyPrediction, image: MedicalImage) -> tuple[int, str]:
    """Which slice is shown, and what it is."""
    if not isinstance(result, VolumePrediction):
        return 0, "The picture, as stored"
    index = displayed_slice(result, image.depth)
    where = f"Slice {index + 1} of {len(result.slices)}"
    if result.finding is not None:
        return index, f"{where}, the middle of the finding"
    if result.decision == ABSTAINED:
        return index, f"{where}, the most suspicious one{_alone(result, index)}"
    return index, f"{where}, the middle of the volume"


def _alone(result: VolumePrediction, index: int) -> str:
    """What a slice says alone: the whole's probabilities beside it may lean elsewhere."""
    probabilities = result.slices[index].probabilities
    if not probabilities:
        return ""
    first = max(probabilities, key=probabilities.__getitem__)
    return f"; by itself {DISPLAY_NAMES[first]} {percent(probabilities[first])}"


def _facts(result: AnyPrediction, image: MedicalImage) -> Iterator[tuple[str, str]]:
    yield "File", result.path
    series = describe(image, image.facts) if image.facts else None
    if series is not None:
        yield from _series_facts(series)
    yield "Pixels", f"{image.height} × {image.width}, {image.bit_depth} bits, {image.mode}"
    if image.pixel_spacing_mm is not None:
        row, column = image.pixel_spacing_mm
        yield "Pixel spacing", f"{row:.3g} × {column:.3g} mm"
    if not isinstance(result, VolumePrediction):
        return
    apart = series.slice_spacing_mm if series else None
    count = str(len(result.slices))
    yield "Slices", f"{count}, {apart:.3g} mm apart" if apart else f"{count}, distance not stated"
    if result.finding is not None:
        yield from _finding_facts(result)


def _series_facts(series: SeriesFacts) -> Iterator[tuple[str, str]]:
    sequence = [series.sequence_name, " ".join(series.scanning_sequence)]
    for name, value in (
        ("Modality", series.modality),
        ("Series", series.description),
        ("Series number", None if series.number is None else str(series.number)),
        ("Body part", series.body_part),
        ("Sequence", ", ".join(part for part in sequence if part)),
        ("Contrast agent", series.contrast_agent),
        ("Plane", series.plane),
        ("Series UID", series.series_instance_uid),
    ):
        if value:
            yield name, value


def _finding_facts(result: VolumePrediction) -> Iterator[tuple[str, str]]:
    found = result.finding
    if found is None:
        return
    where = f"slices {found.first + 1} to {found.last + 1}, middle {found.middle + 1}"
    yield "Finding", where if found.last > found.first else f"slice {found.first + 1}"
    if found.position_mm is not None:
        x, y, z = found.position_mm
        sides = (
            f"{abs(x):.0f} mm {'left' if x >= 0 else 'right'}",
            f"{abs(y):.0f} mm {'back' if y >= 0 else 'front'}",
            f"{abs(z):.0f} mm {'up' if z >= 0 else 'down'}",
        )
        yield "Middle slice's centre", f"{', '.join(sides)} of the frame's origin"
    if found.path is not None:
        file = Path(found.path).name + (f"/{found.member}" if found.member else "")
        yield "Middle slice's file", file + (f", frame {found.frame}" if found.frame else "")
