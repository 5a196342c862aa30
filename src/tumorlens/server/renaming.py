"""The client's names for the paths of a study that lies in a temporary folder."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

_DIGITS: Final = 5


def file_name(number: int) -> str:
    """Name on the disk of the file ``number`` of a study; nothing of it comes from a client."""
    return f"{number:0{_DIGITS}d}"


class Renaming:
    """Replaces the paths of a folder in every text about it, in one pass over each text."""

    def __init__(self, folder: str, names: Sequence[str]) -> None:
        """``names`` are those of the files by number."""
        self._names = names
        self._pattern = re.compile(rf"{re.escape(folder)}(?:[/\\](\d{{{_DIGITS}}}))?")
        self.whole = str(Path(folder) / file_name(0)) if len(names) == 1 else folder
        """What the study is read from: a single file, or the folder."""

    def __call__(self, value: Any) -> Any:
        """``value``, as JSON can hold it, with the client's names."""
        if isinstance(value, dict):
            return {key: self(member) for key, member in value.items()}
        if isinstance(value, list | tuple):
            return [self(element) for element in value]
        return self._pattern.sub(self._name, value) if isinstance(value, str) else value

    def _name(self, match: re.Match[str]) -> str:
        number = match.group(1)
        if number is None:
            return "study"
        index = int(number)
        return self._names[index] if index < len(self._names) else "study"
