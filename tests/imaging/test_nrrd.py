"""NRRD: spellings, axes, spaces, encodings, what a header may leave out, and damage."""

import gzip
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from tests.imaging.written import AFFINE, Volume, described, nifti, nrrd

from tumorlens.errors import (
    BlankImageError,
    CorruptInputError,
    LimitExceededError,
    UnsupportedFormatError,
)
from tumorlens.imaging import limits, reader
from tumorlens.imaging.facts import sides_of
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.samples.gray import Color
from tumorlens.imaging.samples.sample_storage import SWAPPED

NO_ORIENTATION = "the file does not state its orientation; the usual one (LAS) is assumed"
NO_MATRIX = "the file's direction matrix is not plausible and is not used"
NO_SIZE = "a voxel size of the file is missing or not plausible; 1 is used"
DIRECTIONS = described(np.zeros((1, 1, 1), np.uint8), AFFINE)["space_directions"]


def read(data: bytes, plane: str = "axial") -> MedicalImage:
    return reader.read_bytes(data, "here", plane)


@pytest.fixture(scope="module")
def small(ras: Volume) -> Volume:
    """Whole numbers up to 250, which any type holds."""
    return np.rint(ras / 4)


@pytest.mark.parametrize(
    ("kind", "spellings"),
    [
        ("u1", "uchar,unsigned char,uint8,uint8_t"),
        ("i2", "short,short int,signed short,signed short int,int16,int16_t"),
        ("u2", "ushort,unsigned short,unsigned short int,uint16,uint16_t"),
        ("i4", "int,signed int,int32,int32_t"),
        ("u4", "uint,unsigned int,uint32,uint32_t"),
        ("i8", "longlong,long long,long long int,signed long long,signed long long int,int64"),
        ("u8", "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t"),
        ("f4", "float,FLOAT"),
        ("f8", "double"),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_types_and_sample_storages(small: Volume, kind: str, spellings: str, order: str) -> None:
    voxels = small.astype(f"{order}{kind}")
    expected = read(nifti(small)).pixels
    for name in spellings.split(","):
        image = read(nrrd(voxels, type=name))
        np.testing.assert_array_equal(image.pixels, expected)
        assert image.bit_depth == 8 * voxels.dtype.itemsize
        assert image.mode == np.dtype(kind).name


def test_signed_bytes(small: Volume) -> None:
    image = read(nrrd((small - 100).astype(np.int8), endian=None))
    np.testing.assert_array_equal(image.pixels, read(nifti((small - 100).astype(np.int8))).pixels)


def text(voxels: NDArray[np.generic], separator: bytes = b" ") -> bytes:
    return separator.join(b"%g" % value for value in voxels.ravel(order="F").tolist()) + b"\n"


def test_encodings(small: Volume) -> None:
    expected = read(nifti(small)).pixels
    voxels = small.astype("<i2")
    made = [nrrd(voxels, encoding=name) for name in ("raw", "RAW", "gzip", "gz")]
    for name in ("txt", "text", "ascii"):
        made.append(nrrd(voxels, encoding=name, endian=None, behind=text(small)))
    made.append(nrrd(voxels, encoding="ascii", behind=b"\n " + text(small, b" \r\n ") + b" "))
    for data in made:
        image = read(data)
        np.testing.assert_array_equal(image.pixels, expected)
        assert image.notes == ()


def test_raw_voxels_that_look_like_gzip(small: Volume) -> None:
    voxels = small.astype(np.uint8)
    voxels[:3, 0, 0] = [0x1F, 0x8B, 0x08]
    np.testing.assert_array_equal(read(nrrd(voxels)).pixels, read(nifti(voxels)).pixels)


@pytest.mark.parametrize("name", ["hex", "bz2", "bzip2", "zrl", "\x1b[31m"])
def test_encodings_that_are_not_read(small: Volume, name: str) -> None:
    with pytest.raises(
        UnsupportedFormatError, match=r"encoding .*; save it with encoding gzip"
    ) as e:
        read(nrrd(small, encoding=name))
    assert str(e.value).isprintable()


@pytest.mark.parametrize("field", ["data_file", "datafile", "Data File"])
def test_data_in_another_file(small: Volume, field: str) -> None:
    """With or without the empty line that nothing follows."""
    fields: dict[str, Any] = {field: "head.raw"}
    whole = nrrd(small, behind=b"", **fields)
    for data in (whole, whole.rstrip(b"\n"), whole.rstrip(b"\n") + b"\n"):
        with pytest.raises(
            UnsupportedFormatError, match=r"^here: the header of NRRD data in other"
        ):
            read(data)


def test_skipped_lines_and_bytes(small: Volume) -> None:
    voxels = small.astype("<i2")
    expected = read(nifti(small)).pixels
    stored = voxels.tobytes(order="F")
    zipped = gzip.compress(b"12345" + stored)
    for data in (
        nrrd(voxels, line_skip="2", behind=b"one\n\n" + stored),
        nrrd(voxels, byte_skip="5", behind=b"12345" + stored),
        nrrd(voxels, byteskip="-1", behind=b"any number" + stored),
        nrrd(voxels, lineskip="1", byte_skip="5", encoding="gzip", behind=b"one\n" + zipped),
        nrrd(voxels, line_skip="1", byte_skip="2", encoding="text", behind=b"x\nxx" + text(small)),
    ):
        np.testing.assert_array_equal(read(data).pixels, expected)
    damaged: tuple[dict[str, Any], ...] = (
        {"byte_skip": "-2"}, {"byte_skip": "-1", "encoding": "gzip"}, {"byte_skip": "99999999"},
        {"byte_skip": "9" * 5000}, {"line_skip": "-1"}, {"line_skip": "30000"}, {"line_skip": "x"},
    )  # fmt: skip
    for fields in damaged:
        with pytest.raises(CorruptInputError, match=r"^here: damaged NRRD"):
            read(nrrd(voxels, **fields))
    with pytest.raises(CorruptInputError, match="cut off"):
        read(nrrd(voxels, byte_skip="-1", behind=stored[:-1]))


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("right-anterior-superior", (1, 1)), ("RAS", (1, 1)), ("LAS", (-1, 1)),
        ("Left-Anterior-Superior", (-1, 1)), ("lps", (-1, -1)), ("LPS", (-1, -1)),
        ("left-posterior-superior-time", (-1, -1)), ("RAST", (1, 1)),
    ],
)  # fmt: skip
def test_spaces(small: Volume, space: str, signs: tuple[int, int]) -> None:
    turned = np.diag([-signs[0], -signs[1], 1.0, 1]) @ AFFINE
    image = read(nrrd(small, turned, space=space))
    expected = read(nifti(small))
    np.testing.assert_array_equal(image.pixels, expected.pixels)
    assert image.facts == expected.facts
    assert sides_of(image.facts) is not None


@pytest.mark.parametrize("space", [None, "scanner-xyz", "3D-right-handed", "nonsense"])
def test_no_orientation_is_noted(small: Volume, space: str | None) -> None:
    image = read(nrrd(small, space=space))
    np.testing.assert_array_equal(image.pixels, small[:, ::-1].transpose(2, 1, 0))
    assert image.notes == (NO_ORIENTATION,)
    assert image.pixel_spacing_mm == pytest.approx((2, 2))
    assert sides_of(image.facts) is None


@pytest.mark.parametrize("space", ["LPS", None])
def test_directions_that_are_all_none(small: Volume, space: str | None) -> None:
    image = read(nrrd(small, space=space, space_directions="none none none"))
    np.testing.assert_array_equal(image.pixels, small[:, ::-1].transpose(2, 1, 0))
    assert image.notes == (NO_SIZE, NO_ORIENTATION)


def test_spacings_alone(small: Volume) -> None:
    bare: dict[str, Any] = {"space": None, "space_directions": None, "space_origin": None}
    image = read(nrrd(small, spacings="2 2 3", kinds=None, dimension=None, **bare))
    assert image.notes == (NO_ORIENTATION,)
    assert image.pixel_spacing_mm == pytest.approx((2, 2))
    assert image.facts is not None
    assert image.facts.slice_spacing_mm == 3
    for sizes in (None, "nan nan nan", "0 0 0"):
        assert read(nrrd(small, spacings=sizes, **bare)).notes[0] == NO_SIZE


def test_directions_that_make_no_sense(small: Volume) -> None:
    for directions in ("(1,0,0) (1,0,0) (0,0,1)", "(nan,0,0) (0,1,0) (0,0,1)"):
        notes = read(nrrd(small, space_directions=directions)).notes
        assert notes[:2] == (NO_MATRIX, NO_ORIENTATION) or notes[:3] == (
            NO_MATRIX, NO_SIZE, NO_ORIENTATION,
        )  # fmt: skip
    for directions in ("(1,0,0) (0,1,0)", "(1,0,0) (0,x,0) (0,0,1)"):
        with pytest.raises(CorruptInputError, match=r"^here: damaged NRRD"):
            read(nrrd(small, space_directions=directions))


@pytest.mark.parametrize("origin", [None, "none", "(nan,0,0)", "(1,2)"])
def test_an_origin_that_makes_no_sense(small: Volume, origin: str | None) -> None:
    image = read(nrrd(small, space_origin=origin))
    np.testing.assert_array_equal(image.pixels, read(nifti(small)).pixels)
    assert image.notes == ("the file's space origin is missing or not plausible; 0 is used",)


def test_units_of_length(small: Volume) -> None:
    metres = np.diag([1e-3, 1e-3, 1e-3, 1]) @ AFFINE
    image = read(nrrd(small, metres, space_units='"m" "m" "m"'))
    assert image.pixel_spacing_mm == pytest.approx((2, 2))
    assert image.notes == ()
    wrong = read(nrrd(small, space_units='"m" "m" "m"'))
    assert wrong.notes == ("the file's unit of length is not plausible; millimetres are assumed",)
    assert read(nrrd(small, space_units='"mm" "mm" "mm"')).notes == ()
    (note,) = read(nrrd(small, np.diag([200.0, 200, 200, 1]))).notes
    assert note == "no head is as large as the file says (8000, 9600, 7200 mm)"


@pytest.mark.parametrize("encoding", ["raw", "gzip", "text"])
@pytest.mark.parametrize("kind", ["RGB-color", "vector", "3-color", "none", "???"])
def test_color_becomes_luma(small: Volume, encoding: str, kind: str) -> None:
    """The channels lie first; gray stored as colour equals gray."""
    gray = small.astype(np.uint8)
    colors = np.stack([gray] * 3)
    behind = text(colors) if encoding == "text" else None
    image = read(
        nrrd(
            colors, encoding=encoding, kinds=f"{kind} domain domain domain",
            space_directions=f"none {DIRECTIONS}", behind=behind,
        )
    )  # fmt: skip
    np.testing.assert_array_equal(image.pixels, read(nifti(gray)).pixels)
    assert (image.mode, image.bit_depth, image.notes) == ("RGB", 8, ())
    colors[0] = 255 - gray
    mixed = read(
        nrrd(
            colors, kinds=f"{kind} domain domain domain",
            space_directions=f"none {DIRECTIONS}",
        )
    )  # fmt: skip
    weighed = (299 * (255 - gray.astype(int)) + 701 * gray.astype(int) + 500) // 1000
    np.testing.assert_array_equal(mixed.pixels, read(nifti(weighed.astype(np.uint8))).pixels)
    assert (mixed.color, mixed.notes) == (Color.VIVID, ())


def test_colors_with_alpha(small: Volume) -> None:
    gray = small.astype(np.uint8)
    colors = np.stack([gray, gray, gray, np.full_like(gray, 9)])
    image = read(
        nrrd(colors, kinds="RGBA-color domain domain domain", space_directions=f"none {DIRECTIONS}")
    )
    np.testing.assert_array_equal(image.pixels, read(nifti(gray)).pixels)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("kind", ["list", "time", "none"])
@pytest.mark.parametrize("first", [True, False])
def test_the_first_of_several_volumes(small: Volume, encoding: str, kind: str, first: bool) -> None:
    """Whether voxel by voxel or one behind the other."""
    axis = 0 if first else -1
    several = np.stack([small, 2 * small, 3 * small, 4 * small], axis=axis).astype("<u2")
    kinds, directions = ["domain"] * 3, [DIRECTIONS]
    kinds.insert(0 if first else 3, kind)
    directions.insert(0 if first else 1, "none")
    image = read(
        nrrd(
            several, kinds=" ".join(kinds), space_directions=" ".join(directions),
            encoding=encoding,
        )
    )  # fmt: skip
    np.testing.assert_array_equal(image.pixels, read(nifti(small)).pixels)
    assert image.notes == ("the first of 4 volumes is read",)


def test_a_fourth_axis_without_a_kind_holds_volumes(small: Volume) -> None:
    several = np.stack([small, 2 * small], axis=-1)
    image = read(nrrd(several, kinds=None, space=None, space_directions=None, spacings="2 2 2 1"))
    np.testing.assert_array_equal(image.pixels, small[:, ::-1].transpose(2, 1, 0))
    assert image.notes == ("the first of 2 volumes is read", NO_ORIENTATION)
    with pytest.raises(BlankImageError, match="the first of 2 volumes is blank"):
        read(nrrd(0 * several + [0, 1], kinds=None, space=None, space_directions=None))


def test_an_axis_of_one(small: Volume) -> None:
    image = read(nrrd(small[np.newaxis], kinds="stub domain domain domain",
                      space_directions=f"none {DIRECTIONS}"))  # fmt: skip
    np.testing.assert_array_equal(image.pixels, read(nifti(small)).pixels)
    assert image.notes == ()


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        ("vector", 3, "axis of kind vector, which does not hold intensities"),
        ("complex", 2, "complex voxels; save their magnitude instead"),
        ("3D-symmetric-matrix", 6, "axis of kind 3d-symmetric-matrix"),
    ],
)
def test_vectors_are_no_intensities(small: Volume, kind: str, size: int, message: str) -> None:
    data = nrrd(np.stack([small] * size), kinds=f"{kind} domain domain domain",
                space_directions=f"none {DIRECTIONS}")  # fmt: skip
    with pytest.raises(UnsupportedFormatError, match=message):
        read(data)


def test_one_slice_is_an_image(small: Volume) -> None:
    """Of two axes in three dimensions, or in none."""
    two = " ".join(DIRECTIONS.split()[:2])
    image = read(nrrd(small[:, :, 0], space_directions=two))
    np.testing.assert_array_equal(image.pixels, read(nifti(small[:, :, :1])).pixels)
    assert (image.is_volume, image.notes) == (False, ())
    bare: dict[str, Any] = {"space": None, "space_directions": None, "space_origin": None}
    assert read(nrrd(small[:, :, 0], spacings="2 2", **bare)).notes == (NO_ORIENTATION,)
    with pytest.raises(UnsupportedFormatError, match="fewer than 2 axes in space"):
        read(nrrd(small[:, 0, 0], **bare))


def test_values(ras: Volume) -> None:
    odd = ras.copy()
    odd[:4] = np.nan
    (note,) = read(nrrd(odd)).notes
    assert note == "10.0% of the samples are not usable numbers and are treated as background"
    one = ras.copy()
    one[0, 0, 0] = np.nan
    assert read(nrrd(one)).notes[0].startswith("less than 0.1% of the samples")
    with pytest.raises(BlankImageError):
        read(nrrd(np.full_like(ras, np.nan)))
    with pytest.raises(UnsupportedFormatError, match=r"^here: a label map or mask"):
        read(nrrd((ras > 500).astype(np.uint8)))
    in_text = b"nan " * 1000 + text(ras.ravel(order="F")[1000:])
    assert "are treated as background" in read(nrrd(ras, encoding="text", behind=in_text)).notes[0]


def test_more_voxels_than_are_stated(small: Volume) -> None:
    for encoding in ("raw", "gzip"):
        image = read(nrrd(small, sizes="40 48 1", encoding=encoding))
        assert image.notes == (
            "the file holds more voxels than it states; the others are not read",
        )


def test_damage_is_corrupt(small: Volume) -> None:
    voxels = small.astype("<i2")
    plain, zipped = nrrd(voxels), nrrd(voxels, encoding="gzip")
    written = nrrd(voxels, encoding="text", behind=text(small))
    start = len(nrrd(voxels, behind=b""))
    cut_off = (plain[:-1], plain[:start], zipped[:-2000], zipped[:start], written[:-1000],
               written[: start + 50], written[:start])  # fmt: skip
    for data in cut_off:
        with pytest.raises(CorruptInputError, match=r"^here: damaged or cut off"):
            read(data)
    with pytest.raises(CorruptInputError, match=r"^here: damaged gzip"):
        read(nrrd(voxels, encoding="gzip", behind=voxels.tobytes()))
    # Older numpy ends at the word, newer numpy raises.
    with pytest.raises(CorruptInputError, match=r"^here: damaged (NRRD|or cut off)"):
        read(nrrd(voxels, encoding="text", behind=text(small)[:1000] + b" x " + text(small)))
    with pytest.raises(CorruptInputError, match=r"of 69120 numbers are there"):
        read(nrrd(voxels, encoding="text", behind=b"12 " + b" " * 200_000))


@pytest.mark.parametrize(
    "fields",
    [
        {"type": None}, {"endian": None}, {"encoding": None}, {"sizes": None}, {"sizes": "40 x 36"},
        {"sizes": "40 0 36"}, {"sizes": "40 -48 36"}, {"dimension": "4"}, {"sizes": "9" * 5000},
        {"sizes": "1 " * 17}, {"kinds": "domain domain"}, {"dimension": "three"},
        {"space": None, "space_directions": None, "spacings": "1 1"},
    ],
)  # fmt: skip
def test_headers_that_are_damaged(small: Volume, fields: dict[str, Any]) -> None:
    with pytest.raises(CorruptInputError, match=r"^here: damaged NRRD \(") as caught:
        read(nrrd(small, **fields))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["block", "quad", "\x07"])
def test_types_that_are_not_read(small: Volume, kind: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"^here: NRRD voxels of type"):
        read(nrrd(small, type=kind))


@pytest.mark.parametrize("encoding", ["raw", "gzip", "text"])
@pytest.mark.parametrize(
    "sizes", ["32767 32767 32767", "600 600 600", "64 64 5000", "99999999999 64 64"]
)
def test_absurd_dimensions_are_refused(small: Volume, sizes: str, encoding: str) -> None:
    with pytest.raises(LimitExceededError):
        read(nrrd(small, sizes=sizes, encoding=encoding))


def test_absurd_lists_are_refused(small: Volume) -> None:
    """A list that lies first must be read whole."""
    with pytest.raises(LimitExceededError, match="bytes of voxels are more than the limit"):
        read(
            nrrd(
                small, sizes="100000 40 48 36", dimension="4",
                kinds="list domain domain domain", space_directions=f"none {DIRECTIONS}",
            )
        )  # fmt: skip


def test_headers_without_end(small: Volume) -> None:
    for data in (
        b"NRRD0004\n" + b"#\n" * 30_000,
        b"NRRD0004\n" + b"#" * (limits.MAX_HEADER_BYTES + 100),
    ):
        with pytest.raises(LimitExceededError, match="NRRD with a header of more than"):
            read(data)
    with pytest.raises(CorruptInputError, match="no type"):
        read(b"NRRD0004\n")


def test_lines_end_as_on_any_system(small: Volume) -> None:
    whole = nrrd(small, behind=b"").replace(b"\n", b"\r\n") + small.tobytes(order="F")
    np.testing.assert_array_equal(read(whole).pixels, read(nifti(small)).pixels)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_voxels_in_the_other_sample_storage_than_stated(small: Volume, encoding: str) -> None:
    soft = gaussian_filter(small, 1)
    voxels = (soft / soft.max() * 4000).astype("<i2")
    wrong = read(nrrd(voxels, encoding=encoding, endian="big"))
    right = read(nrrd(voxels, encoding=encoding))
    np.testing.assert_array_equal(wrong.pixels, right.pixels)
    assert (wrong.notes, right.notes) == ((SWAPPED,), ())
