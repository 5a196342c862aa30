"""The client's names for the paths of a study that lies in a temporary folder."""

import posixpath
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

_DIGITS: Final = 5


def places(names: Sequence[str]) -> list[str]:
    """Where on the disk files with these names lie, below the folder of their study.

    Files of different folders of the client lie in different folders. No part of a name is used.
    """
    folders = {folder: number for number, folder in enumerate(_folders(names))}
    return [
        f"{folders[_folder(name)]:0{_DIGITS}d}/{number:0{_DIGITS}d}"
        for number, name in enumerate(names)
    ]


def _folders(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(map(_folder, names)))


def _folder(name: str) -> str:
    return posixpath.dirname(name.replace("\\", "/"))


class Renaming:
    """Replaces the paths of a folder in every text about it, in one pass over each text."""

    def __init__(self, folder: str, names: Sequence[str]) -> None:
        """``names`` are those of the files by number."""
        self._names, self._folders = names, _folders(names)
        number = rf"(?:[/\\](\d{{{_DIGITS}}}))?"
        self._pattern = re.compile(rf"{re.escape(folder)}{number}{number}")
        self.whole = str(Path(folder) / places(names)[0]) if len(names) == 1 else folder
        """What the study is read from: a single file, or the folder."""

    def __call__(self, value: Any) -> Any:
        """``value``, as JSON can hold it, with the client's names."""
        if isinstance(value, dict):
            return {key: self(member) for key, member in value.items()}
        if isinstance(value, list | tuple):
            return [self(element) for element in value]
        return self._pattern.sub(self._name, value) if isinstance(value, str) else value

    def _name(self, match: re.Match[str]) -> str:
        folder, file = match.groups()
        number, names = (folder, self._folders) if file is None else (file, self._names)
        is_known = number is not None and int(number) < len(names)
        return (names[int(number)] if is_known else "") or "study"
