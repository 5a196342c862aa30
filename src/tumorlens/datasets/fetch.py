"""Download the public 7,023-image set from Kaggle, and verify every file."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tumorlens.cores import thread_pool
from tumorlens.datasets.importers import provenance_table
from tumorlens.errors import DatasetError, needing
from tumorlens.files import write_file
from tumorlens.progress import Progress, reported

HANDLE: Final = "masoudnickparvar/brain-tumor-mri-dataset/versions/1"
"""Version 1 is intended: version 2 is another set of 7,200 images."""
_NAMED: Final = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Verification:
    """The files of a folder compared with the published ones; names are ``Split/class/file``."""

    intact: tuple[str, ...]
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    """Present, but with other bytes than the published."""

    @property
    def complete(self) -> bool:
        """Whether every published file is there, byte for byte."""
        return not self.missing and not self.damaged

    def require(self, folder: Path) -> None:
        """Raise ``DatasetError`` that names what is missing or damaged, unless complete."""
        faults = [
            f"{len(names)} {word} (for example {', '.join(names[:_NAMED])})"
            for word, names in (("missing", self.missing), ("damaged", self.damaged))
            if names
        ]
        if faults:
            total = len(self.intact) + len(self.missing) + len(self.damaged)
            raise DatasetError(
                f"{folder}: of {total:,} published files {' and '.join(faults)}. "
                "Run the same command again to get them"
            )


def fetch_nickparvar(output: Path, progress: Progress | None = None) -> Verification:
    """Make ``output`` contain every published file, byte for byte; return the last check.

    Intact files are kept; if nothing is missing, there is no download. kagglehub
    resumes an interrupted download. Raises ``MissingExtraError`` without
    kagglehub, ``DatasetError`` where the download fails or is not the published set.
    """
    check = verify(output, published_files(), progress)
    if check.complete:
        return check
    copy_files(_download(), output, check.missing + check.damaged)
    check = verify(output, published_files(), progress)
    check.require(output)
    return check


def verify(
    folder: Path, published: Mapping[str, str], progress: Progress | None = None
) -> Verification:
    """Compare ``folder`` with the SHA-256 of ``published`` files; differences raise nothing."""
    states: dict[str, list[str]] = {"intact": [], "missing": [], "damaged": []}
    with thread_pool() as pool:
        work = pool.map(lambda item: _state(folder / item[0], item[1]), published.items())
        pairs = zip(published, work, strict=True)
        for name, state in reported(pairs, len(published), progress):
            states[state].append(name)
    return Verification(*(tuple(states[key]) for key in ("intact", "missing", "damaged")))


def published_files() -> dict[str, str]:
    """SHA-256 of every published file by its name ``Split/class/file``, sorted."""
    table = {
        entry.file: digest for digest, entries in provenance_table().items() for entry in entries
    }
    return dict(sorted(table.items()))


def copy_files(source: Path, output: Path, names: Sequence[str]) -> None:
    """Copy those of ``names`` that ``source`` has; each is renamed when it is complete."""
    for name in names:
        origin, target = source / name, output / name
        if not origin.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        write_file(partial, origin.read_bytes())
        partial.replace(target)


def _state(file: Path, digest: str) -> str:
    try:
        data = file.read_bytes()
    except OSError:
        return "missing"
    return "intact" if hashlib.sha256(data).hexdigest() == digest else "damaged"


def _download() -> Path:
    """Download the set into kagglehub's cache; return the folder that holds ``Training``."""
    with needing("fetch", "downloading from Kaggle"):
        import kagglehub
    try:
        folder = Path(kagglehub.dataset_download(HANDLE))
    # kagglehub raises its own errors, those of requests and of the system: no common base.
    except Exception as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(
            f"{HANDLE}: cannot be downloaded ({detail}). Check the connection and run the same "
            "command again: finished files are kept"
        ) from error
    return next((match.parent for match in sorted(folder.rglob("Training"))), folder)
