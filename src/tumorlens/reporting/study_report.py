"""A study as one HTML file: every series with its answer, images and facts.

The file loads nothing from the network; a content security policy in it forbids that. It does not
contain patient names; file names and series descriptions are shown as they are.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from tumorlens.bundle import BundleInfo
from tumorlens.imaging.facts import sides_of
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.raster import encode
from tumorlens.imaging.raster.overlay import gray_with_sides
from tumorlens.inference.finding import describe
from tumorlens.inference.record import (
    REJECTED,
    Failure,
    Finding,
    ImageAnswer,
    Result,
    SeriesFacts,
    StudyPrediction,
    VolumePrediction,
)
from tumorlens.inference.summary import headline
from tumorlens.inference.volume import Answered, slice_of
from tumorlens.reporting import html
from tumorlens.reporting.answer_image import draw
from tumorlens.reporting.display import MAP_CAPTION, answered, displayed_slice, suspicion
from tumorlens.reporting.html import ReportImage
from tumorlens.text import probability_percent

WITH_IMAGES: Final = 60
"""Most entries with images: a larger file would be slow to open."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One series, volume or image, or what could not be used."""

    result: Result
    facts: tuple[tuple[str, str], ...] = ()
    """Name and value of each fact."""
    images: tuple[ReportImage, ...] = ()
    without_images: bool = False
    """Whether images were left out because there are many entries."""

    @property
    def name(self) -> str:
        """The description of the series, or the file's name."""
        result = self.result
        if isinstance(result, VolumePrediction) and result.series and result.series.description:
            return result.series.description
        name = Path(result.path).name or result.path
        return f"The study as a whole: {name}" if isinstance(result, StudyPrediction) else name

    @property
    def headline(self) -> str:
        """``Glioma``, ``No tumour``, or the decision if nothing is classified."""
        return headline(self.result)

    @property
    def summary(self) -> str:
        """The summary; the error of a failure without the path, which ``name`` stands for."""
        return self.result.summary.removeprefix(f"{self.result.path}: ")


def entry(result: Result, answered: Answered | None = None, *, with_images: bool = True) -> Entry:
    """Describe and draw one result; ``answered`` is None for a study or a failure.

    Raises ``InputError`` if a slice cannot be drawn.
    """
    if isinstance(result, StudyPrediction):
        return Entry(result, tuple(_members(result)))
    if answered is None or isinstance(result, Failure):
        return Entry(result)
    facts = tuple(_facts(result, answered.image))
    if not with_images:
        return Entry(result, facts, without_images=True)
    return Entry(result, facts, tuple(_images(answered)))


def write(path: Path, entries: Sequence[Entry], info: BundleInfo, written: datetime) -> Path:
    """Write the report of ``entries``, answered by the bundle ``info``; return its path."""
    model = next((e.result.model for e in entries if not isinstance(e.result, Failure)), None)
    return html.write(
        path,
        "study.html",
        entries=entries,
        info=info,
        sha256=model.sha256 if model else info.files.get("model.onnx", ""),
        written=written.strftime("%Y-%m-%d %H:%M %Z"),
        classes=info.classes,
        named=lambda names: [info.classes.display_names[name] for name in names],
        names=info.classes.display_names,
        with_images=WITH_IMAGES,
        strip=strip,
        is_volume=lambda result: isinstance(result, VolumePrediction),
        is_whole=lambda result: isinstance(result, VolumePrediction | StudyPrediction),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """One slice in the strip of a volume."""

    left: float
    width: float
    height: float
    """Probability of any tumour, 0 to 1; 0 for a slice without an answer."""
    kind: str
    """``middle`` or ``inside`` of the finding, ``outside``, ``uncounted``, or ``none``."""


def strip(volume: VolumePrediction) -> list[Bar]:
    """One bar for each slice of a volume, in units of the strip's width."""
    width = 1.0 / len(volume.slices)
    return [
        Bar(index * width, width, suspicion(volume, index), _kind(volume, index))
        for index in range(len(volume.slices))
    ]


def _kind(volume: VolumePrediction, index: int) -> str:
    finding = volume.finding
    if not answered(volume, index):
        return "none"
    if not volume.slices[index].counted:
        return "uncounted"
    if finding is None or not finding.first <= index <= finding.last:
        return "outside"
    return "middle" if index == finding.middle else "inside"


def _images(answered: Answered) -> Iterator[ReportImage]:
    image, result = answered.image, answered.answer
    index, where = _slice(result)
    plane = slice_of(image, index)
    sides = sides_of(image.facts)
    gray = gray_with_sides(plane.pixels, sides)
    edges = f" Left edge: {sides.left}; top edge: {sides.top}." if sides else ""
    yield ReportImage(encode.data_uri(gray), f"{where}.{edges}", f"{where}.{edges}")
    heatmap = answered.heatmap()
    if heatmap is not None:
        caption = f"The same, with {MAP_CAPTION}. Cross: its peak; box: above half of the peak."
        drawn = html.embed_png(draw(plane, result, heatmap, image.facts))
        yield ReportImage(drawn, caption, f"{where}, with {MAP_CAPTION}")


def _slice(result: ImageAnswer) -> tuple[int, str]:
    """The slice that is shown, and its description."""
    if not isinstance(result, VolumePrediction):
        return 0, "The image, as stored"
    index = displayed_slice(result)
    where = f"Slice {index + 1} of {len(result.slices)}"
    if result.finding is not None:
        return index, f"{where}, the middle of the finding"
    if result.decision == REJECTED:
        return index, f"{where}, the middle of the volume"
    return index, f"{where}, the most suspicious one{_alone(result, index)}"


def _alone(result: VolumePrediction, index: int) -> str:
    """The tumour probability of the slice alone, which may differ from that of the volume."""
    share = result.slices[index].tumor_probability
    word = result.model.class_set.finding
    return "" if share is None else f"; this slice alone: {word} {probability_percent(share)}"


def _members(result: StudyPrediction) -> Iterator[tuple[str, str]]:
    """The contribution of each series to the answer for the study."""
    for series in result.members:
        share = ""
        if series.tumor_probability is not None:
            word = result.model.class_set.finding
            share = f"{word} {probability_percent(series.tumor_probability)}, "
        elif series.weight == 0:
            share = "no answer, "
        sequence = series.sequence or "unknown sequence"
        yield (
            Path(series.path).name or series.path,
            f"{sequence}: {share}weight {series.weight:.2g}",
        )


def _facts(result: ImageAnswer, image: MedicalImage) -> Iterator[tuple[str, str]]:
    yield "File", result.path
    series = describe(image, image.facts) if image.facts else None
    if series is not None:
        yield from _series_facts(series)
    if result.sequence is not None:
        share = probability_percent(result.sequence.probability, 0)
        yield "Predicted sequence", f"{result.sequence.name} ({share})"
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
        yield from _finding_facts(result.finding)


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


def _finding_facts(finding: Finding) -> Iterator[tuple[str, str]]:
    where = f"slices {finding.first + 1} to {finding.last + 1}, middle {finding.middle + 1}"
    yield "Finding", where if finding.last > finding.first else f"slice {finding.first + 1}"
    if finding.side is not None:
        yield "Side", "near the midline" if finding.side == "midline" else finding.side
    if finding.extent_mm is not None:
        x, y, z = finding.extent_mm
        yield (
            "Extent of the map",
            f"about {x:.0f} × {y:.0f} mm in the slice, {z:.0f} mm across slices",
        )
    if finding.position_mm is not None:
        x, y, z = finding.position_mm
        sides = (
            f"{abs(x):.0f} mm {'left' if x >= 0 else 'right'}",
            f"{abs(y):.0f} mm {'posterior' if y >= 0 else 'anterior'}",
            f"{abs(z):.0f} mm {'superior' if z >= 0 else 'inferior'}",
        )
        yield "Middle", f"{', '.join(sides)}, relative to the origin of coordinates"
    if finding.path is not None:
        file = Path(finding.path).name + (f"/{finding.member}" if finding.member else "")
        yield (
            "File of the middle slice",
            file + (f", frame {finding.frame}" if finding.frame else ""),
        )
