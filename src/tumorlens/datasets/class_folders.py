"""Find the images of each class below a folder, by the names of the folders.

Paths are ``CLASS/file`` or ``SPLIT/CLASS/file``, with any folders below that of the class. If a
rule for patients says so, the folder of the patient, or those of the patient and of the
examination, are above that of the class. If all class folders are named after the four classes of
the bundled networks, the labels are these; otherwise each folder is a class. Files that are left
out are counted, with the reason.
"""

import dataclasses
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from tumorlens.datasets.folder_walk import is_image, walk
from tumorlens.errors import DatasetError
from tumorlens.labels import CLASSES, plain_name

SPLIT_FOLDERS: Final = {
    "training": "training", "train": "training", "testing": "testing", "test": "testing",
    "validation": "validation", "valid": "validation", "val": "validation",
}  # fmt: skip
_CLASS_FOLDERS: Final = {
    **{name: name for name in CLASSES},
    "glioma_tumor": "glioma", "meningioma_tumor": "meningioma", "pituitary_tumor": "pituitary",
    "no_tumor": "notumor", "no": "notumor", "normal": "notumor", "healthy": "notumor",
}  # fmt: skip
_USUAL_CLASSES: Final = frozenset({*_CLASS_FOLDERS, "yes", "tumor", "positive", "negative"})
"""Names that show at which level the folders of classes are."""
_PATIENT: Final = re.compile(r"(p|pat|pt|patient|sub|subj|subject|case)[-_ ]*[0-9]+", re.I)
_SESSION: Final = re.compile(
    r"(ses|session|visit|scan|exam|study|timepoint|tp|day|week|month|year|baseline|follow[-_ ]?up)"
    r"[-_ ]*[0-9]*|[0-9]{4}([-_.]?[0-9]{2}){2}",
    re.I,
)
"""Names of folders of examinations: with a number or date."""
_FOLD: Final = re.compile(r"(fold|cv)[-_ ]*[0-9]+", re.I)
NO_IMAGE: Final = "not images, by their names"
MASK: Final = "masks of other images, by their names"
_MASK: Final = re.compile(r"(.+?)[-_ ](mask|seg|segmentation)([-_ ]?[0-9]+)?", re.I)
"""The stem of a mask: that of its image, and a word for mask."""
NO_FILE: Final = "links to nothing, or not regular files"
NOT_IN_CLASS: Final = "in no class folder"
OUTSIDE_SPLIT: Final = "outside the folders of the split"
NAMED_OTHERWISE: Final = "in folders not named after a class"
TWO_CLASSES: Final = "in a folder of one class within that of another"
NOT_UTF_8: Final = "with names that are not UTF-8"
UNWANTED: Final = "in folders that --map leaves out"
_IS_FOLD: Final = (
    "is named like a fold, though it holds folders of classes; put the images of all folds "
    "into one folder for each class, and write folds with `tumorlens data split --kfold`"
)
_IS_PATIENT: Final = (
    "is named like a patient, and holds folders of classes; if it is a patient, run"
)
_IS_NO_SPLIT: Final = (
    "is not the name of a split, though it holds folders of classes; "
    "name it train, val or test, leave it out with `--map FOLDER=`, or import it by itself, "
    "with --source"
)
_FOLDERS_NAMED: Final = 10


class ClassFile(NamedTuple):
    """A file of a class."""

    file: Path
    split: str
    """``training``, ``testing``, ``validation`` or empty."""
    label: str
    below: tuple[str, ...]
    """Names of the folders between that of the class and the file."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """The files below a folder."""

    files: tuple[ClassFile, ...]
    """Sorted by path."""
    left_out: Mapping[str, Mapping[str, int]]
    """Files that are left out: by reason, then by folder."""
    empty: tuple[str, ...]
    """Class folders without any file."""


def find(
    folder: Path,
    mapping: Mapping[str, str] | None = None,
    *,
    known_only: bool = False,
    patient: Callable[[str], str] | None = None,
) -> Found:
    """Find the images of classes below ``folder``, or below the only folder in it.

    ``mapping`` gives folders a label; with an empty label the folder is left out. With
    ``known_only`` a folder that is not named after one of the four classes is left out.
    ``patient`` finds the patient in a path below ``folder``. If that is the uppermost folder, or
    the one below that of the split, classes are searched one level further down; or deeper, if the
    folders there have names of examinations, or those below them have names of classes. Raises
    ``DatasetError`` if the folder does not exist, a folder above those of classes is not named
    after a split, ``mapping`` names a folder that does not exist, or ``patient`` takes the folder
    of a class for a patient.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    stated = {plain_name(name): label for name, label in (mapping or {}).items()}
    everything = sorted(walk(folder))
    images = frozenset(path for path in everything if path.is_file() and is_image(path))
    _check_mapping(folder, mapping or {}, everything)
    base = _unwrapped(folder, everything, images, _USUAL_CLASSES | set(stated))
    sorter = _Sorter(folder, base, stated, everything, images, known_only=known_only)
    if patient is not None:
        sorter.skip_patients(patient)
    files = sorter.files()
    return Found(files, sorter.left_out, tuple(_empty(folder, base, everything, sorter.skipped)))


def is_named_like_a_patient(name: str) -> bool:
    """Whether a folder has a name such as ``P0042`` or ``sub-01``."""
    return _PATIENT.fullmatch(name) is not None


def described(counts: Mapping[str, int]) -> str:
    """Folders with their number of files, as text; empty if there are none."""
    words = [
        f"{'the folder itself' if name == '.' else name} ({count:,})"
        for name, count in list(counts.items())[:_FOLDERS_NAMED]
    ]
    if len(counts) > len(words):
        words.append(f"{len(counts) - len(words)} more folders")
    return ", ".join(words)


class _Sorter:
    """Sorts files into classes, and counts those that belong to none."""

    def __init__(
        self,
        folder: Path,
        base: Path,
        stated: Mapping[str, str],
        everything: Sequence[Path],
        images: Set[Path],
        *,
        known_only: bool,
    ) -> None:
        """``base`` is the folder that contains those of classes, or of a split."""
        self.folder, self.base, self.images = folder, base, images
        self.stated, self.known_only = stated, known_only
        self.known = {**_CLASS_FOLDERS, **stated}
        self.left_out: dict[str, Counter[str]] = defaultdict(Counter)
        self.all_files = [path for path in everything if path.is_file()]
        self.stems = {(file.parent, file.stem) for file in self.all_files}
        for path in everything:
            if not path.is_file() and not path.is_dir():
                self.leave_out(NO_FILE, path)
        self.is_split = any(
            split_of(name) for file in self.all_files for name in self.above(file)[:1]
        )
        self.skipped = 0
        """Number of levels of folders between those of the split and of classes, for patients."""

    def skip_patients(self, patient: Callable[[str], str]) -> None:
        """Search for classes below the uppermost folders, if these are patients by ``patient``.

        Raises ``DatasetError`` if these are named after classes, or contain folders that are named
        after patients.
        """
        tops: set[str] = set()
        inner: list[tuple[str, ...]] = []
        for file in self.all_files:
            above = self.above(file)
            below = above[1:] if above and split_of(above[0]) else above
            if not below or file not in self.images:
                continue
            if below[0] == patient(file.relative_to(self.folder).as_posix()):
                tops.add(below[0])
                inner += [below[1:]] * (len(below) > 1)
            elif len(below) > 1:
                return
        named = sorted(name for name in tops if plain_name(name) in self.usual)
        if tops and (named or all(_PATIENT.fullmatch(names[0]) for names in inner)):
            raise DatasetError(
                f"{self.folder}: --group-from takes {(named or sorted(tops))[0]!r}, the folder of "
                "a class, for a patient; folder:1 is the folder that holds the file, folder:2 the "
                "one above it"
            )
        self.skipped = 1 + self.examinations(inner) if inner else 0

    def examinations(self, inner: Sequence[Sequence[str]]) -> int:
        """Number of levels between the folders of patients and of classes."""
        level = 0
        while True:
            names = {parts[level] for parts in inner if len(parts) > level}
            deeper = {parts[level + 1] for parts in inner if len(parts) > level + 1}
            if not deeper or any(plain_name(name) in self.usual for name in names):
                return level
            are_classes = all(plain_name(name) in self.usual for name in deeper)
            if not are_classes and not all(_SESSION.fullmatch(name) for name in names):
                return level
            level += 1

    @property
    def usual(self) -> Set[str]:
        """Usual names of classes, in plain form."""
        return _USUAL_CLASSES | set(self.stated)

    def files(self) -> tuple[ClassFile, ...]:
        """The files of a class; the others are counted in ``left_out``."""
        class_files = [class_file for file in self.all_files for class_file in self.classify(file)]
        self.check_same_below(class_files)
        all_known = all(class_file.label in self.known for class_file in class_files)
        labels = self.known if all_known else self.stated
        return tuple(
            class_file._replace(label=labels.get(class_file.label, class_file.label))
            for class_file in class_files
        )

    def classify(self, file: Path) -> Iterator[ClassFile]:
        """The class of a file; nothing if it is left out.

        The label is the plain name of the class folder here.
        """
        above = self.above(file)
        split = split_of(above[0]) if above else ""
        own = above[bool(split) + self.skipped :]
        below = [plain_name(name) for name in own]
        reason = self.reason(file, split, below)
        if reason:
            self.leave_out(reason, file)
        else:
            self.check_level(above, split, below)
            yield ClassFile(file, split, below[0], own[1:])

    def leave_out(self, reason: str, file: Path) -> None:
        """Count a file that is left out."""
        name = file.parent.relative_to(self.folder).as_posix()
        self.left_out[reason][name.encode(errors="replace").decode()] += 1

    def reason(self, file: Path, split: str, below: Sequence[str]) -> str:
        """Why a file is left out; empty if it is not."""
        if any(self.stated.get(name) == "" for name in below):
            return UNWANTED
        if not below:
            return NOT_IN_CLASS
        if self.known_only and below[0] not in self.known:
            return NAMED_OTHERWISE
        if below[0] in self.known and len({self.known[n] for n in below if n in self.known}) > 1:
            return TWO_CLASSES
        if self.is_split and not split and len(below) == 1 and not self.known_only:
            return OUTSIDE_SPLIT
        if file not in self.images:
            return NO_IMAGE
        if (mask := _MASK.fullmatch(file.stem)) and (file.parent, mask[1]) in self.stems:
            return MASK
        # Such a name cannot be written into a manifest, which is text.
        return "" if _is_text(str(file.relative_to(self.folder))) else NOT_UTF_8

    def check_level(self, above: Sequence[str], split: str, below: Sequence[str]) -> None:
        """Raise ``DatasetError`` if a folder above that of the class is not a split."""
        named = [depth for depth, name in enumerate(below) if name in self.known]
        outside = self.is_split and not split and not self.known_only
        if outside or (named and named[0] > 0):
            last = max(1, named[0] if named else 1)
            first = len(above) - len(below)
            if _PATIENT.fullmatch(above[first]) or all(
                map(_SESSION.fullmatch, above[first + 1 :][: last - 1])
            ):
                last = 1  # the folders between are examinations of the patient
            self.refuse_level(self.base.joinpath(*above[: last + first]), above[first])

    def check_same_below(self, class_files: Sequence[ClassFile]) -> None:
        """Raise ``DatasetError`` if all class folders are in fact patients or folds.

        They are named so, and contain folders with the same names.
        """
        below: dict[Path, set[str]] = defaultdict(set)
        for class_file in class_files:
            above = self.above(class_file.file)
            at = 1 + bool(class_file.split) + self.skipped
            level = self.base.joinpath(*above[:at])
            if len(above) == at or class_file.label in self.stated:
                return
            if not (_FOLD.fullmatch(level.name) or _PATIENT.fullmatch(level.name)):
                return
            below[level].add(above[at])
        if len(below) > 1 and set.intersection(*below.values()):
            level = next(iter(below))
            self.refuse_level(level, level.name)

    def refuse_level(self, level: Path, name: str) -> NoReturn:
        """Raise ``DatasetError`` for a folder called ``name`` that contains class folders."""
        if _FOLD.fullmatch(name):
            raise DatasetError(f"{level}: {_IS_FOLD}")
        say = (
            f"`tumorlens data import folder --from {shlex.quote(str(self.folder))} "
            f"--group-from {self.rule_of(level)} --output MANIFEST`"
        )
        if _PATIENT.fullmatch(name):
            raise DatasetError(f"{level}: {_IS_PATIENT} {say}")
        others = "" if self.skipped or level.name != name else f"; if it is a patient, run {say}"
        raise DatasetError(f"{level}: {_IS_NO_SPLIT}{others}")

    def rule_of(self, level: Path) -> str:
        """The value of ``--group-from`` if folders such as ``level`` are patients."""
        parts = level.relative_to(self.folder).parts
        depths = {
            len(file.relative_to(self.folder).parts)
            for file in self.images
            if len(self.above(file)) > 1
        }
        if len(depths) == 1:
            return f"folder:{depths.pop() - len(parts)}"
        return shlex.quote("^" + "[^/]+/" * (len(parts) - 1) + "([^/]+)/")

    def above(self, file: Path) -> tuple[str, ...]:
        """Names of the folders from below the base to the file's own."""
        return file.relative_to(self.base).parts[:-1] if self.base in file.parents else ()


def _unwrapped(
    folder: Path, everything: Sequence[Path], images: Set[Path], classes: Set[str]
) -> Path:
    """The folder that contains those of classes or of a split, below single folders.

    ``folder`` itself if no names of classes or splits are found.
    """
    base = folder
    while True:
        held = [path for path in everything if path.parent == base]
        inner = [path for path in held if path.is_dir()]
        if any(plain_name(path.name) in classes or split_of(path.name) for path in inner):
            return base
        holds_images = base != folder and not images.isdisjoint(held)
        if len(inner) != 1 or holds_images:
            return folder
        base = inner[0]


def _check_mapping(folder: Path, mapping: Mapping[str, str], everything: Iterable[Path]) -> None:
    folders = {plain_name(path.name): path.name for path in everything if path.is_dir()}
    missing = [name for name in mapping if plain_name(name) not in folders]
    if missing:
        raise DatasetError(
            f"{folder}: holds no folder {', '.join(missing)}, which --map names; there are "
            f"{', '.join(sorted(folders.values())[:_FOLDERS_NAMED])}"
        )


def _empty(folder: Path, base: Path, everything: Sequence[Path], skipped: int) -> Iterator[str]:
    """Folders at the level of classes without any file."""
    filled = {above for path in everything if path.is_file() for above in path.parents}
    for path in everything:
        if base not in path.parents:
            continue
        parts = path.relative_to(base).parts
        level = 1 + bool(split_of(parts[0])) + skipped
        if len(parts) == level and path.is_dir() and path not in filled:
            yield path.relative_to(folder).as_posix()


def _is_text(name: str) -> bool:
    """Whether a name is valid UTF-8; Python keeps other bytes as surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def split_of(name: str) -> str:
    """The part of a split that a folder is named after: ``training`` for ``Train``; or empty."""
    return SPLIT_FOLDERS.get(name.strip().lower(), "")
