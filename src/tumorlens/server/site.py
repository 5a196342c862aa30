"""The page and what it needs, as files in memory: the server's, and those of a static host.

Nothing is looked up on disk by a name that a client sent.
"""

import gzip
import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tumorlens.bundle import GATE_FILE, INFO_FILE, MODEL_FILE, Bundle, load
from tumorlens.errors import TumorlensError
from tumorlens.files import write_file

EXAMPLES: Final = "phantom"
"""The bundle that answers for the page's examples, which were drawn for it."""
INDEX: Final = "index.html"
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "wasm": "application/wasm",
    "onnx": "application/octet-stream",
    "txt": "text/plain; charset=utf-8",
}


class Asset(NamedTuple):
    """One file of the page."""

    body: bytes
    media_type: str
    gzipped: bool
    """Whether ``body`` is compressed (RFC 1952) and the file is what comes out of it."""
    etag: str

    def plain(self) -> bytes:
        """The file's own bytes."""
        return gzip.decompress(self.body) if self.gzipped else self.body


def assets(bundle: Bundle) -> dict[str, Asset]:
    """All files by their path below the page, ``bundle`` as ``model/`` among them."""
    pairs = _shipped(_folder(), "")
    shipped = {name.removesuffix(".gz"): _asset(name, data) for name, data in pairs}
    # The examples are phantoms: another network than theirs has never seen the like.
    return shipped | _model(bundle, "model") | _model(load(EXAMPLES), "examples/model")


def _model(bundle: Bundle, folder: str) -> dict[str, Asset]:
    parts = {INFO_FILE: msgspec.json.encode(bundle.info), MODEL_FILE: bundle.model}
    if bundle.gate is not None:
        parts[GATE_FILE] = bundle.gate
    return {f"{folder}/{name}": _asset(name, data) for name, data in parts.items()}


def write(folder: Path, bundle: Bundle) -> list[Path]:
    """Write the page for a static web host; return the files. Overwrites, deletes nothing."""
    written = []
    for name, asset in sorted(assets(bundle).items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, asset.plain())
        written.append(path)
    return written


def _folder() -> Traversable:
    folder = files("tumorlens").joinpath("server/static")
    if not folder.joinpath(INDEX).is_file():
        raise TumorlensError(
            "the page is not part of this installation; build it with scripts/frontend"
        )
    return folder


def _shipped(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    entries = []
    for entry in folder.iterdir():
        if entry.is_dir():
            entries += _shipped(entry, f"{prefix}{entry.name}/")
        else:
            entries.append((prefix + entry.name, entry.read_bytes()))
    return entries


def _asset(name: str, data: bytes) -> Asset:
    gzipped = name.endswith(".gz")
    suffix = name.removesuffix(".gz").rpartition(".")[2]
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    return Asset(data, _TYPES[suffix], gzipped, etag)
