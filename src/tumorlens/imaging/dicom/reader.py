"""DICOM to ``MedicalImage``: one file, or the files of one stack."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from tumorlens.errors import CorruptInputError, InputError
from tumorlens.imaging.dicom.grayscale import covers_the_head, hides_the_head
from tumorlens.imaging.dicom.header import Header, header_of
from tumorlens.imaging.dicom.parse import parse
from tumorlens.imaging.dicom.pixels import Levels, holds_more, read_frames
from tumorlens.imaging.dicom.tags import whole
from tumorlens.imaging.facts import AcquisitionFacts, normal, plane_of
from tumorlens.imaging.geometry.reformat import along_plane
from tumorlens.imaging.geometry.resample import with_square_pixels
from tumorlens.imaging.geometry.slice_ordering import Frame, Stack, split
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.intensities import mended
from tumorlens.imaging.limits import check_volume
from tumorlens.imaging.samples.gray import Color
from tumorlens.imaging.samples.label_map import check_no_label_map
from tumorlens.text import counted

_FLAT: Final = 0.005
"""Windowed values, 0 to 1, that differ by less show nothing: the window is far too wide."""
_NO_PADDING: Final = (
    "the range of values that the file states as padding covers part of the head and is not used"
)
_MORE_FRAMES: Final = (
    "there are pixels for more frames than the file states; the others are not read"
)

Location = tuple[str, str | None]
"""Path of a file, and its name in an archive."""
Loader = Callable[[Location], Dataset]
"""Gives the data set of a file; raises ``InputError``."""


def decode(data: bytes, source: str, plane: str) -> MedicalImage:
    """Decode one file: (H, W), or (D, H, W) where it has several frames, cut along ``plane``.

    Frames are sorted along the normal of the slices. Where they form more than one stack (the
    three directions of a localizer), the largest is taken and a note says so. Raises
    ``NotMRError`` and the other errors of ``imaging.reader.read``.
    """
    dataset = parse(data, source)
    header = header_of(dataset, source, source)
    stacks = split(header.frames, keep_order=True)
    image, _ = read_stack(stacks[0], header, lambda _: dataset, plane)
    return image.remarked(*_unread_frames(stacks[1:]), *_other_parts(dataset))


def _unread_frames(stacks: Sequence[Stack]) -> list[str]:
    if not stacks:
        return []
    frames = sum(len(stack.frames) for stack in stacks)
    return [f"{frames} frames of another orientation, size or component are left out"]


def _other_parts(dataset: Dataset) -> list[str]:
    """A note on a file that is one of several of a concatenation (PS3.3 C.7.6.16.2.2.4)."""
    parts = whole(dataset, "InConcatenationTotalNumber", 1)
    if parts < 2:
        return []
    return [f"the file is one of {parts} that the image is divided into; the others are not read"]


def read_stack(
    stack: Stack, header: Header, load: Loader, plane: str
) -> tuple[MedicalImage, list[tuple[str, InputError]]]:
    """Read the pixels of a stack, file by file: never more than one data set is in memory.

    The stack is cut along ``plane`` where it can be (``imaging.geometry.reformat``). A file that
    cannot be read is left out, noted, and returned beside the image. Raises its error where no
    slice is left.
    """
    depth, (rows, columns) = len(stack.frames), stack.frames[0].shape
    check_volume((depth, rows, columns), header.source)
    reading = _Reading(stack, load)
    levels = Levels(windowed=all(frame.windowed for frame in stack.frames))
    reading.run(levels)
    notes: list[str] = []
    if reading.padding_covers_the_head():
        levels = levels._replace(padded=False)
        reading.run(levels)
        notes.append(_NO_PADDING)
    if levels.windowed and (hidden := reading.hidden_by_window()):
        levels = levels._replace(windowed=False)
        reading.run(levels)
        notes.append(f"the file's window hides {hidden} and is not used")
    if not reading.is_read.any():
        raise _first_of(reading.failures)
    notes += reading.remarks()
    if missing := int((~reading.is_read).sum()):
        notes.append(f"{missing} of {depth} slices could not be read and are left out")
    image = _image(stack, header, reading, notes)
    check_no_label_map(image.samples, image.source)
    image = image if levels.windowed else mended(image)
    cut = along_plane(image, plane)
    if cut is image:  # slices that are cut anew are upright, with square pixels
        turns = {frame.turn.note: None for frame in stack.frames if frame.turn}
        cut = with_square_pixels(image.remarked(*turns), stack.frames[0].aspect)
    return cut, reading.failures


def _first_of(failures: Sequence[tuple[str, InputError]]) -> InputError:
    """The error of the first of the files, with the number of the others: none can be read."""
    first, others = failures[0][1], len({name for name, _ in failures}) - 1
    if not others:
        return first
    more = counted(others, "more file")
    return type(first)(f"{first} ({more} of the series cannot be read either)")


class _Reading:
    """The pixels of a stack while its files are read."""

    def __init__(self, stack: Stack, load: Loader) -> None:
        self._frames = stack.frames
        self._load = load
        self._files: dict[Location, dict[int, int]] = {}
        for slot, frame in enumerate(stack.frames):
            location = (frame.facts.path, frame.facts.member)
            self._files.setdefault(location, {})[(frame.facts.frame or 1) - 1] = slot
        shape = (len(stack.frames), *stack.frames[0].shape)
        self.pixels = np.empty(shape, dtype=np.float32)
        self.is_read = np.zeros(len(stack.frames), dtype=np.bool_)
        self.failures: list[tuple[str, InputError]] = []
        self.colors: list[Color] = []
        self._remarks: dict[str, None] = {}
        self._more_frames = False
        self._looked_at: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        self._paddings: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []

    def run(self, levels: Levels) -> None:
        """Read every file."""
        self.failures.clear()
        self.colors.clear()
        self._looked_at.clear()
        self._paddings.clear()
        self.is_read[:] = False
        for location, slots in self._files.items():
            try:
                self._read(location, slots, levels)
            except InputError as error:
                self.failures.append((name_of(location), error))

    def _read(self, location: Location, slots: dict[int, int], levels: Levels) -> None:
        dataset, name = self._load(location), name_of(location)
        damaged: list[InputError] = []
        frames = read_frames(dataset, name, levels, slots.keys())
        for index, plane in zip(sorted(slots), frames, strict=False):
            if isinstance(plane, InputError):
                damaged.append(plane)
                continue
            turn = self._frames[slots[index]].turn
            pixels = plane.pixels if turn is None else turn.pixels(plane.pixels)
            if pixels.shape != self.pixels.shape[1:]:
                raise CorruptInputError(f"{name}: changed while it was read")
            self.pixels[slots[index]] = pixels
            self.is_read[slots[index]] = True
            self.colors.append(plane.color)
            self._remarks |= dict.fromkeys(plane.remarks)
            if plane.stored is not None and plane.padding is not None:
                self._paddings.append((plane.stored.ravel(), plane.padding.ravel()))
            if plane.unwindowed is not None and plane.windowed is not None:
                self._looked_at.append((plane.unwindowed.ravel(), plane.windowed.ravel()))
        self._more_frames |= holds_more(dataset, name)
        self.failures.extend((name, error) for error in damaged[:1])

    def remarks(self) -> list[str]:
        """What is odd about the pixels of the files, each once."""
        return [*self._remarks, *([_MORE_FRAMES] if self._more_frames else [])]

    def padding_covers_the_head(self) -> bool:
        """Whether the range of padding takes part of the head, by all slices together."""
        if not self._paddings:
            return False
        stored, padding = zip(*self._paddings, strict=True)
        return covers_the_head(np.concatenate(stored), np.concatenate(padding))

    def hidden_by_window(self) -> str:
        """What the windows of all slices together do not show; empty where they show the head."""
        if not self._looked_at:
            return ""
        before, after = (np.concatenate(parts) for parts in zip(*self._looked_at, strict=True))
        if after.max() - after.min() < _FLAT:
            return "everything"
        return "most of the head" if hides_the_head(before, after) else ""


def name_of(location: Location) -> str:
    """A file for messages: ``study.zip/series/1.dcm``."""
    path, member = location
    return path if member is None else f"{path}/{member}"


def _image(stack: Stack, header: Header, reading: _Reading, notes: Sequence[str]) -> MedicalImage:
    frames = [
        frame for frame, is_read in zip(stack.frames, reading.is_read, strict=True) if is_read
    ]
    pixels = reading.pixels if reading.is_read.all() else reading.pixels[reading.is_read]
    return MedicalImage(
        samples=pixels[0] if len(frames) == 1 else pixels,
        source=header.source,
        bit_depth=header.bit_depth,
        mode=header.mode,
        pixel_spacing_mm=frames[0].spacing_mm,
        facts=_facts(stack, header.facts, frames, notes),
        color=Color.joint(reading.colors),
    )


def _facts(
    stack: Stack, facts: AcquisitionFacts, frames: Sequence[Frame], notes: Sequence[str]
) -> AcquisitionFacts:
    """The facts of a stack, from those of one of its files."""
    row, column = frames[0].row, frames[0].column
    return msgspec.structs.replace(
        facts,
        plane=plane_of(normal(row, column)) if row and column else None,
        row_direction=row,
        column_direction=column,
        slice_spacing_mm=stack.slice_spacing_mm,
        slices=tuple(frame.facts for frame in frames),
        folder=stack.folder,
        outside_training=any(frame.outside_training for frame in frames),
        notes=(*facts.notes, *_frame_notes(frames), *stack.notes, *notes),
    )


def _frame_notes(frames: Sequence[Frame]) -> list[str]:
    """What is odd about the files, each once."""
    counts = Counter(note for frame in frames for note in frame.notes)
    return [
        note if count == len(frames) else f"{note} (in {count} of {len(frames)} slices)"
        for note, count in counts.items()
    ]
