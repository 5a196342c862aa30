"""Requests of the server to its worker processes, and their answers. Imports nothing heavy: the
process that listens needs neither the network nor decoders."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from tumorlens.bundle import Bundle
from tumorlens.errors import InputError
from tumorlens.isolation.frames import Message

Record = dict[str, Any]
SERVICE: Final = "tumorlens.server.work:make"
IMAGE: Final = "image"
STUDY: Final = "study"
_OUTCOME: Final = re.compile(r"[a-z_]{1,40}")


def options(bundle: Bundle) -> Message:
    """What ``make`` needs: the bundle that the server has read and checked, not its path."""
    gate = () if bundle.gate is None else (bundle.gate,)
    return Message({}, (msgspec.json.encode(bundle.info), bundle.model, *gate))


def image_request(name: str, data: bytes, pixels: int, heatmap: str, preview: bool) -> Message:
    """Ask for the record of one file; images of more than ``pixels`` pixels are refused.

    The answer has one part: ``outcome`` (a decision, or ``error_`` and the kind), and the record.
    """
    content = {"task": IMAGE, "name": name, "pixels": pixels, "heatmap": heatmap,
               "preview": preview}  # fmt: skip
    return Message(content, (data,))


def study_request(folder: Path, names: Sequence[str], pixels: int, start: int) -> Message:
    """Ask for the records of what lies in ``folder``, from input number ``start`` on.

    Parts are ``{"skipped", "inputs"}`` and, unless ``start`` is later than 0, the records of files
    that are no input; then for each input ``{"at", "path"}`` and its records, as in
    ``image_request``, and those of the study.
    """
    content = {"task": STUDY, "folder": str(folder), "names": list(names), "pixels": pixels,
               "start": start}  # fmt: skip
    return Message(content)


class EncodedRecord(NamedTuple):
    """A record, as a worker has written it."""

    outcome: str
    """A decision, that of a study after ``study_``, or ``error_`` and the kind."""
    json: bytes

    @property
    def failed(self) -> bool:
        """Whether it is an error."""
        return self.outcome.startswith("error_")

    @property
    def of_study(self) -> bool:
        """Whether it is the answer of a study as a whole."""
        return self.outcome.startswith("study_")

    def record(self) -> Record:
        """Its fields."""
        fields: Record = json.loads(self.json)
        return fields


def part(record: Record) -> Message:
    """A record as a part of an answer."""
    failed = "error" in record
    outcome = f"error_{record['error']['kind']}" if failed else record["decision"]
    if "members" in record:
        outcome = f"study_{outcome}"
    return Message({"outcome": outcome}, (to_json(record),))


def read_record(part: Message) -> EncodedRecord:
    """The record in a part of an answer; raise ``ValueError`` where there is none."""
    outcome = str(part.content.get("outcome"))
    if _OUTCOME.fullmatch(outcome) is None or len(part.blobs) != 1:
        raise ValueError("a worker's answer is not a record")
    return EncodedRecord(outcome, part.blobs[0])


def failure(path: str, error: InputError, source: str) -> EncodedRecord:
    """The record of ``error``, with ``path`` where its message begins with ``source``."""
    message = path + str(error).removeprefix(source)
    record = {"path": path, "error": {"kind": error.kind, "message": message}}
    return EncodedRecord(f"error_{error.kind}", to_json(record))


def to_json(content: Record) -> bytes:
    """UTF-8. Bytes of a name that are no text are escaped, as ``predict`` does."""
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")
