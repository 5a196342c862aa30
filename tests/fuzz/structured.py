"""Files that are well formed outside and odd inside: nested elements, groups, directories, headers.

Flipped bytes rarely get past a parser's first check. These are built from sound parts, of which a
few are made odd: an element at any depth of a DICOM data set, a functional group of one frame, a
field or an extension of a NIfTI header, a line of an NRRD header, an entry of a TIFF directory.
One seed, one file.
"""

import gzip
import io
import struct
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import nibabel
import numpy as np
from nibabel.freesurfer.mghformat import header_dtype
from numpy.typing import NDArray
from pydicom import config, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.errors import BytesLengthException
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from tumorlens.imaging.raster import encode

Random = np.random.Generator
_SIDE: Final = 40
_RING: Final[NDArray[np.uint8]] = (
    100 + 99 * np.sin(np.hypot(*np.mgrid[-20:20, -20:20]) / 2)
).astype(np.uint8)  # fmt: skip
_TEXTS: Final = (
    b"", b"0", b"-1", b"1", b"1.5", b"nan", b"inf", b"-inf", b"1e40", b"-1e-40", b"0,0", b"1\\2",
    b"\\", b"\\\\\\", b"abc", b"99999999999999999999", b"\x00", b"\xff\xfe", b" ",
    b"1\\0\\0\\0\\1\\0", b"0\\0\\0\\0\\0\\0", b"1.2.3", b"PHASE", b"DERIVED\\PRIMARY\\P",
    b"20261399", b"a\nb", b"\x1b$)C", b"9" * 400,
)  # fmt: skip
_VRS: Final = (
    "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT", "OB", "OW", "PN", "SH",
    "SL", "SQ", "SS", "ST", "TM", "UI", "UL", "UN", "US", "UT",
)  # fmt: skip
_WORDS: Final = (0, 1, 2, 7, 8, 12, 16, 31, 32, 33, 64, 255, 256, 4096, 8192, 32767, 32768, 65535)
_NUMBERS: Final = (
    0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e-45, 1e30, 3e38, np.inf, -np.inf, np.nan, 352.0, 348.0, 1e9,
)  # fmt: skip
_SYNTAXES: Final = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian,
)  # fmt: skip
_DEEPEST: Final = 60


def dicom(random: Random) -> bytes:
    """An MR image of one frame or several, with one to four odd elements."""
    dataset = _enhanced(random) if random.random() < 0.6 else _plain(random)
    for _ in range(random.integers(1, 5)):
        _bend(dataset, random)
    syntax = _SYNTAXES[random.integers(len(_SYNTAXES))]
    if random.random() < 0.2:
        syntax = JPEGBaseline8Bit
        frames = [encode.jpeg(_RING)] * int(random.integers(0, 5))
        _raw(dataset, "PixelData", "OB", encapsulate(frames) if frames else b"")
    return _written(dataset, syntax)


def series(random: Random) -> list[bytes]:
    """Some slices of one series, a few of them odd."""
    made = []
    for index in range(int(random.integers(2, 7))):
        dataset = _plain(random)
        dataset.ImagePositionPatient = [0, 0, index]
        dataset.SOPInstanceUID = f"1.2.{index + 1}"
        if random.random() < 0.5:
            _bend(dataset, random)
        made.append(_written(dataset, _SYNTAXES[random.integers(len(_SYNTAXES))]))
    return made


def _written(dataset: Dataset, syntax: UID) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    dataset.file_meta = meta
    out = io.BytesIO()
    before = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dcmwrite(out, dataset, enforce_file_format=True)
    except Exception:  # pydicom does not write all that can be read; what is left is cut off
        return out.getvalue()
    finally:
        config.settings.writing_validation_mode = before
    return out.getvalue()


def _item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def _base(pixels: NDArray[np.generic]) -> Dataset:
    made = _item(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.4", SOPInstanceUID="1.2.3", Modality="MR",
        StudyInstanceUID="1.2", SeriesInstanceUID="1.2.4", PatientID="p", SeriesNumber=1,
        InstanceNumber=1, ImageType=["ORIGINAL", "PRIMARY", "M"], EchoTime=10, SliceThickness=1,
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, 0],
        PixelSpacing=[1, 1], Rows=_SIDE, Columns=_SIDE, SamplesPerPixel=1, BitsAllocated=8,
        BitsStored=8, HighBit=7, PixelRepresentation=0, PhotometricInterpretation="MONOCHROME2",
        WindowCenter=100, WindowWidth=200, RescaleSlope=1, RescaleIntercept=0,
    )  # fmt: skip
    made.add_new("PixelData", "OB", pixels.tobytes())
    return made


def _plain(random: Random) -> Dataset:
    made = _base(_RING)
    if random.random() < 0.3:
        table = _item(LUTDescriptor=[256, 0, 16])
        table.add_new("LUTData", "US", list(range(256)))
        made.VOILUTSequence = [table]
    return made


def _enhanced(random: Random) -> Dataset:
    """Enhanced MR: shared groups, and one item for each frame (PS3.3 C.7.6.16)."""
    frames = int(random.integers(1, 6))
    made = _base(np.stack([_RING] * frames))
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    made.NumberOfFrames = frames
    made.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[_item(PixelSpacing=[1, 1], SliceThickness=2)],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            MRTimingAndRelatedParametersSequence=[_item(FlipAngle=9.0, RepetitionTime=5.0)],
        )
    ]
    made.PerFrameFunctionalGroupsSequence = [
        _item(
            FrameContentSequence=[_item(StackID="1", InStackPositionNumber=index + 1,
                                        TemporalPositionIndex=1)],
            PlanePositionSequence=[_item(ImagePositionPatient=[0, 0, 2 * index])],
            FrameVOILUTSequence=[_item(WindowCenter=100, WindowWidth=200)],
            PixelValueTransformationSequence=[_item(RescaleSlope=1, RescaleIntercept=0)],
            MRImageFrameTypeSequence=[_item(FrameType=["ORIGINAL", "PRIMARY", "M"],
                                            ComplexImageComponent="MAGNITUDE")],
            MREchoSequence=[_item(EffectiveEchoTime=10.0)],
            MRDiffusionSequence=[_item(DiffusionBValue=0.0)],
        )
        for index in range(frames)
    ]  # fmt: skip
    return made


def _bend(dataset: Dataset, random: Random) -> None:
    """Make one element odd, at whatever depth."""
    where, tag = _any_element(dataset, random)
    element = where.get_item(tag)  # as it lies there: what is odd already may have no value
    kind = random.integers(6)
    if kind == 0:
        del where[tag]
    elif kind == 1 and _is_sequence(element) and len(element.value):
        items = list(element.value)
        count = int(random.integers(0, 4))
        element.value = items[:1] * count if random.random() < 0.5 else items[:-1]
    elif kind == 2:
        _raw(
            where,
            tag,
            _VRS[random.integers(len(_VRS))],
            bytes(random.bytes(int(random.integers(9)))),
        )
    elif kind == 3:
        number = int(_WORDS[random.integers(len(_WORDS))])
        _raw(where, tag, str(element.VR), struct.pack("<H", number))
    elif kind == 4:
        nested = _item(PatientID="deep")
        for _ in range(int(random.integers(1, _DEEPEST))):
            nested = _item(PixelMeasuresSequence=[nested])
        with suppress(BytesLengthException):  # where PixelRepresentation, which it looks up, is odd
            where.PixelMeasuresSequence = [nested]
    else:
        _raw(where, tag, str(element.VR), _TEXTS[random.integers(len(_TEXTS))])


def _any_element(dataset: Dataset, random: Random) -> tuple[Dataset, Any]:
    """A data set, the whole or an item in it, and the tag of one of its elements."""
    where = dataset
    while True:
        tags = list(where.keys())
        if not tags:
            return dataset, Tag("Rows") if "Rows" in dataset else next(iter(dataset.keys()))
        tag = tags[random.integers(len(tags))]
        element = where.get_item(tag)
        if not _is_sequence(element) or not len(element.value) or random.random() < 0.3:
            return where, tag
        where = element.value[random.integers(len(element.value))]


def _is_sequence(element: Any) -> bool:
    return element.VR == "SQ" and not isinstance(element, RawDataElement)


def _raw(dataset: Dataset, tag: Any, kind: str, value: bytes) -> None:
    """Put bytes into an element as they are, whatever they mean."""
    value = value + b" " * (len(value) % 2)
    place = Tag(tag)
    dataset[place] = RawDataElement(place, kind, len(value), value, 0, False, True)


def nifti(random: Random) -> bytes:
    """NIfTI-1 or NIfTI-2 with odd fields and extensions, plain, gzipped or in members."""
    kind: Any = (nibabel.Nifti1Image, nibabel.Nifti2Image)[random.integers(2)]
    kinds = ("u1", "i1", "<i2", "<u2", "<i4", "<f4", "<f8", "<c8")
    voxels = np.stack([_RING] * 40, axis=2).astype(kinds[random.integers(len(kinds))])
    header = kind(voxels, np.diag([1.0, 1.0, 2.0, 1.0])).header
    fields = header.structarr.copy()
    for _ in range(random.integers(1, 5)):
        name = fields.dtype.names[random.integers(len(fields.dtype.names))]
        _bend_field(fields, name, random)
    extensions = _extensions(random)
    if random.random() < 0.7:
        fields["vox_offset"] = len(fields.tobytes()) + len(extensions)
    data: bytes = fields.tobytes() + extensions + voxels.tobytes(order="F")
    if random.random() < 0.2:
        data = data[: random.integers(len(data))]
    how = random.integers(4)
    if how == 1:
        return gzip.compress(data, 1)
    if how == 2:
        cut = int(random.integers(len(data) + 1))
        return gzip.compress(data[:cut], 1) + gzip.compress(data[cut:], 1)
    return data


def _bend_field(fields: Any, name: str, random: Random) -> None:
    value = fields[name]
    if value.dtype.kind in "SV":
        fields[name] = bytes(random.bytes(value.dtype.itemsize))
        return
    number = _NUMBERS[random.integers(len(_NUMBERS))]
    if value.dtype.kind in "iu":
        limits = np.iinfo(value.dtype)
        some = (0, 1, -1, 2, 8, 511, limits.max, limits.min, int(random.integers(0, 2000)))
        number = max(limits.min, min(limits.max, some[random.integers(len(some))]))
    if value.ndim:
        changed = value.copy()
        changed[random.integers(len(changed))] = number
        fields[name] = changed
    else:
        fields[name] = number


def _extensions(random: Random) -> bytes:
    """The flag of four bytes, and extensions whose sizes may lie (nifti1.h)."""
    made = b""
    for _ in range(random.integers(0, 4)):
        content = bytes(random.bytes(int(random.integers(0, 5)) * 16 + 8))
        sizes = (len(content) + 8, 0, 1, 8, 15, 1 << 30, -16, 0x7FFFFFFF)
        size = sizes[random.integers(len(sizes))] if random.random() < 0.5 else sizes[0]
        made += struct.pack("<ii", size, int(random.integers(0, 50))) + content
    return bytes([int(random.integers(3)), 0, 0, 0]) + made


def mgh(random: Random) -> bytes:
    """MGH or MGZ with odd fields; its first ones decide whether it is MGH at all."""
    kinds = ("u1", "<i2", "<u2", "<i4", "<f4")
    voxels = np.stack([_RING] * 40, axis=2).astype(kinds[random.integers(len(kinds))])
    data: bytes = nibabel.MGHImage(voxels, np.diag([1.0, 1.0, 2.0, 1.0])).to_bytes()
    size = header_dtype.itemsize
    names = list(header_dtype.fields or {})
    fields = np.frombuffer(data[:size], header_dtype)[0].copy()
    for _ in range(random.integers(1, 4)):
        name = names[random.integers(len(names))]
        _bend_field(fields, name, random)
    data = fields.tobytes() + data[size:]
    if random.random() < 0.2:
        data = data[: random.integers(len(data))]
    return gzip.compress(data, 1) if random.random() < 0.5 else data


def nrrd(random: Random) -> bytes:
    """NRRD whose lines are odd, missing, twice there or in another order."""
    encodings = ("raw", "gzip", "ascii")
    encoding = encodings[random.integers(len(encodings))]
    voxels = np.stack([_RING] * 40, axis=2)
    behind = voxels.tobytes(order="F")
    if encoding == "gzip":
        behind = gzip.compress(behind, 1)
    elif encoding == "ascii":
        behind = b" ".join(b"%d" % value for value in voxels.ravel(order="F"))
    lines = [
        "type: uchar", "dimension: 3", "space: LPS", "sizes: 40 40 40", "endian: little",
        "space directions: (1,0,0) (0,1,0) (0,0,2)", "kinds: domain domain domain",
        f"encoding: {encoding}", "space origin: (0,0,0)", "remark:=of a program", "# a remark",
    ]  # fmt: skip
    for _ in range(random.integers(1, 4)):
        _bend_line(lines, random)
    data = "\n".join(["NRRD0004", *lines, "", ""]).encode("utf-8", "surrogateescape") + behind
    return data[: random.integers(len(data))] if random.random() < 0.2 else data


_ODD_LINES: Final = (
    "type: float", "type: block", "type: short", "dimension: 4", "dimension: -1", "space: nowhere",
    "space: RAST", "sizes: 40 40", "sizes: 3 40 40 13", "sizes: 40 40 40 1 1", "sizes: 40 40 -40",
    "sizes: 65535 65535 65535 65535", "endian: middle", "space directions: none (1,0,0) (0,1,0)",
    "space directions: (0,0,0) (0,0,0) (0,0,0)", "space directions: (1e300,0,0) (0,nan,0) (0,0,1)",
    "space directions: ((,,) (0) )", "kinds: RGB-color domain domain", "kinds: list domain domain",
    "kinds: domain domain complex", "encoding: hex", "encoding: raw", "space origin: (inf,0,0)",
    "byte skip: -1", "byte skip: 7", "line skip: 3", "line skip: 999999999", "data file: LIST",
    'space units: "m" "m" "m"', "spacings: 0 nan 1e-300", ": ", "\x1b[31m: \udcff",
)  # fmt: skip


def _bend_line(lines: list[str], random: Random) -> None:
    at, kind = int(random.integers(len(lines))), random.integers(4)
    odd = _ODD_LINES[random.integers(len(_ODD_LINES))]
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.append(lines.pop(at))
    else:
        # The first of two fields of one name counts.
        lines.insert(0 if kind == 2 else at, odd)


def tiff(random: Random) -> bytes:
    """Directories of a TIFF whose entries, counts and links may lie (TIFF 6.0, section 2)."""
    order = "<>"[random.integers(2)]
    pixels = _RING.tobytes()
    tags: dict[int, tuple[int, list[int]]] = {
        254: (4, [0]), 256: (4, [_SIDE]), 257: (4, [_SIDE]), 258: (3, [8]), 259: (3, [1]),
        262: (3, [1]), 273: (4, [8]), 277: (3, [1]), 278: (4, [_SIDE]), 279: (4, [len(pixels)]),
        284: (3, [1]), 339: (3, [1]),
    }  # fmt: skip
    if random.random() < 0.3:
        pixels = zlib.compress(pixels)
        tags |= {259: (3, [8]), 279: (4, [len(pixels)])}
    data = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 0) + pixels
    link, pages = 4, int(random.integers(1, 5))
    starts: list[int] = []
    for _ in range(pages):
        entries = dict(tags)
        for _ in range(random.integers(0, 3)):
            _bend_entry(entries, random)
        starts.append(len(data))
        data = data[:link] + struct.pack(order + "I", len(data)) + data[link + 4 :]
        data += struct.pack(order + "H", len(entries))
        for tag, (kind, values) in sorted(entries.items()):
            count = len(values) if random.random() < 0.97 else int(_WORDS[random.integers(18)])
            words = [values[0] & 0xFFFF, 0] if kind == 3 else [values[0] & 0xFFFFFFFF]
            field = struct.pack(order + ("HH" if kind == 3 else "I"), *words)
            data += struct.pack(order + "HHI", tag, kind, count) + field
        link = len(data)
        data += struct.pack(order + "I", 0)
    if random.random() < 0.2:  # the last directory leads back to one before it
        target = starts[random.integers(len(starts))]
        data = data[:link] + struct.pack(order + "I", target) + data[link + 4 :]
    return data


def _bend_entry(entries: dict[int, tuple[int, list[int]]], random: Random) -> None:
    known = [*entries, 255, 266, 274, 282, 317, 322, 323, 324, 325, 330, 338, 347, 530, 34665]
    tag = int(known[random.integers(len(known))])
    if random.random() < 0.2:
        entries.pop(tag, None)
        return
    values = (*_WORDS, 5, 6, 34712, 32773, 50000, 0x7FFFFFFF, 0xFFFFFFFF)
    kind = int(random.integers(0, 14)) if random.random() < 0.2 else entries.get(tag, (3, []))[0]
    entries[tag] = (kind, [int(values[random.integers(len(values))])])


MAKERS: Final[dict[str, Callable[[Random], bytes | list[bytes]]]] = {
    "dicom": dicom, "series": series, "mgh": mgh, "nifti": nifti, "nrrd": nrrd,
    "tiff": tiff,
}  # fmt: skip
"""By name. A list of files is read as one folder."""


def made(name: str, seed: int) -> bytes | list[bytes]:
    """The file of a seed; the same on every machine with the same libraries."""
    return MAKERS[name](np.random.default_rng([sorted(MAKERS).index(name), seed]))
