"""Patient and study of a source, as objects made from it can carry them.

A name must arrive unchanged, whatever the character set of its file; a malformed date or number
must not prevent a report. So all text is decoded and written in UTF-8, and what does not fit its
value representation (PS3.5 6.2) is left empty.
"""

import codecs
import re
from collections.abc import Callable
from typing import Any, Final

from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM, PersonName

from tumorlens.imaging.dicom.tags import element, text

UTF_8: Final = "ISO_IR 192"
_REQUIRED: Final = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""Of type 2: they are present, though they may be empty (PS3.3 C.7.1.1, C.7.2.1)."""
_OPTIONAL: Final = (
    "IssuerOfPatientID", "PatientBirthTime", "PatientComments", "PatientIdentityRemoved",
    "DeidentificationMethod", "PatientAge", "PatientSize", "PatientWeight", "StudyDescription",
    "NameOfPhysiciansReadingStudy", "AdditionalPatientHistory",
)  # fmt: skip
_SEXES: Final = ("F", "M", "O")
_AGE: Final = re.compile(r"\d{3}[DWMY]")
_TEXTS: Final = frozenset({"LO", "SH", "LT", "ST", "UT", "PN"})
_ESCAPE: Final = re.compile(r"\x1b[\x20-\x2f]+[\x30-\x7e]")
"""An escape sequence (ISO 2022) that a decoder leaves in the text."""
_SEPARATORS: Final = re.compile(r"[\s_\-.:]")
_MISSPELT: Final = {
    "UTF8": UTF_8, "ISO10646": UTF_8, "ISOIR192": UTF_8, "UNICODE": UTF_8, "UTF8MB4": UTF_8,
    "LATIN1": "ISO_IR 100", "ISO88591": "ISO_IR 100", "ISOIR100": "ISO_IR 100",
    "CP1252": "ISO_IR 100", "WINDOWS1252": "ISO_IR 100",
    "LATIN2": "ISO_IR 101", "ISO88592": "ISO_IR 101", "ISOIR101": "ISO_IR 101",
    "CYRILLIC": "ISO_IR 144", "ISO88595": "ISO_IR 144", "ISOIR144": "ISO_IR 144",
    "GREEK": "ISO_IR 126", "ISO88597": "ISO_IR 126", "ISOIR126": "ISO_IR 126",
    "ARABIC": "ISO_IR 127", "ISO88596": "ISO_IR 127", "ISOIR127": "ISO_IR 127",
    "HEBREW": "ISO_IR 138", "ISO88598": "ISO_IR 138", "ISOIR138": "ISO_IR 138",
    "ISOIR149": "euc_kr", "KSC5601": "euc_kr", "KSX1001": "euc_kr",
    "GB2312": "GBK", "EUCCN": "GBK", "GB180302000": "GB18030", "GB180302022": "GB18030",
}  # fmt: skip
"""Character sets by names that the standard does not have (PS3.3 C.12.1.1.2)."""
_SINGLE_BYTES: Final = frozenset(
    {
        "",
        "ISO_IR 6",
        *(f"ISO_IR {number}" for number in (100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 203)),
    }
)


def identification(header: Dataset) -> Dataset:
    """Patient and study of ``header``, in UTF-8; what it does not say or says wrongly is empty."""
    encodings = _encodings(header)
    identified = Dataset()
    identified.SpecificCharacterSet = UTF_8
    for keyword in (*_REQUIRED, *_OPTIONAL):
        value = _value(header, keyword, encodings)
        if value or keyword in _REQUIRED:
            identified.add_new(tag_for_keyword(keyword) or 0, dictionary_VR(keyword), value)
    return identified


def _value(header: Dataset, keyword: str, encodings: list[str]) -> str:
    kind = dictionary_VR(keyword)
    if kind in _TEXTS:
        return _decoded(header, keyword, encodings, is_name=kind == "PN")
    stated = text(header, keyword) or ""
    if keyword == "PatientSex":
        return stated if stated in _SEXES else ""
    check = _CHECKS.get(kind)
    return stated if check is None or _passes(check, stated) else ""


def _passes(check: Callable[[str], Any], stated: str) -> bool:
    try:
        return bool(check(stated))
    except (TypeError, ValueError):
        return False


_CHECKS: Final[dict[str, Callable[[str], Any]]] = {
    "DA": DA, "TM": TM, "DS": lambda stated: float(stated) > 0, "AS": _AGE.fullmatch,
}  # fmt: skip


def _decoded(header: Dataset, keyword: str, encodings: list[str], *, is_name: bool) -> str:
    """The text as it was meant, without control characters."""
    try:
        raw = header.get_item(keyword)
    except (KeyError, ValueError):
        return ""
    data = raw.value if isinstance(raw, RawDataElement) else element(header, keyword)
    if isinstance(data, bytes):
        if is_name:
            data = str(PersonName(data.rstrip(b" \0"), encodings))
        else:
            data = decode_bytes(data, encodings, set(b"\t\n\f\r\\"))
    words = _ESCAPE.sub("", "" if data is None else str(data))
    # What is left of control characters is damage.
    words = "".join(char for char in words if char.isprintable() or char == "\n").strip()
    # Several names where one is allowed become one; a backslash would make them a list.
    return words.replace("\\", ", ") if is_name and dictionary_VM(keyword) == "1" else words


def _encodings(header: Dataset) -> list[str]:
    """Python's names of the character sets that the text of ``header`` is in."""
    stated = _stated_sets(header)
    names = [_MISSPELT.get(_SEPARATORS.sub("", name).upper(), name) for name in stated]
    has_bytes = all(name in _SINGLE_BYTES or not _is_known(name) for name in names)
    if has_bytes and _is_utf_8(header):
        return ["utf8"]  # whatever is stated: no other text is valid UTF-8 by chance
    encodings: list[str] = convert_encodings(names or None)
    return encodings


def _is_known(name: str) -> bool:
    """Whether pydicom or Python has a character set of that name."""
    try:
        return name in python_encoding or bool(codecs.lookup(name))
    except LookupError:
        return False


def _stated_sets(header: Dataset) -> list[str]:
    """SpecificCharacterSet, whose first value may be empty: the default repertoire."""
    value = element(header, "SpecificCharacterSet")
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(part or "") for part in value]


def _is_utf_8(header: Dataset) -> bool:
    """Whether text beyond ASCII is UTF-8."""
    joined = b""
    for keyword in (*_REQUIRED, *_OPTIONAL):
        raw = header.get_item(keyword) if keyword in header else None
        value = raw.value if isinstance(raw, RawDataElement) else None
        joined += value if isinstance(value, bytes) else b""
    try:
        return not joined.isascii() and bool(joined.decode("utf-8"))
    except UnicodeDecodeError:
        return False
