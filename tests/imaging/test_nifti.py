"""The same head gives the same slices, whichever way its voxels are stored."""

import gzip
import os
import struct
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, zoom
from tests.imaging.written import AFFINE, Affine, Volume, mgh, nrrd, stored_as

from tumorlens.errors import (
    BlankImageError,
    CorruptInputError,
    LimitExceededError,
    UnsupportedFormatError,
)
from tumorlens.imaging import reader
from tumorlens.imaging.facts import sides_of
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.inflate import Inflated
from tumorlens.imaging.samples.gray import Color
from tumorlens.imaging.samples.sample_storage import OTHER_SIGN, SWAPPED

PLANES = ("axial", "coronal", "sagittal")
SHIPPED = Path(nibabel.__file__).parent / "tests" / "data"


def save(
    voxels: NDArray[np.generic], affine: Affine = AFFINE, kind: type = nibabel.Nifti1Image
) -> bytes:
    data: bytes = kind(voxels, affine).to_bytes()
    return data


def read(data: bytes, plane: str = "axial") -> MedicalImage:
    return reader.read_bytes(data, "here", plane)


def test_radiological_convention(ras: Volume) -> None:
    """Axial: face on top, the patient's right on the left. The others: crown on top."""
    axial = read(save(ras)).pixels
    assert axial.shape == (36, 48, 40)
    np.testing.assert_array_equal(axial, ras[::-1, ::-1].transpose(2, 1, 0))
    coronal = read(save(ras), "coronal").pixels
    assert coronal.shape == (48, 36, 40)
    np.testing.assert_array_equal(coronal, ras[::-1, ::-1, ::-1].transpose(1, 2, 0))
    sagittal = read(save(ras), "sagittal").pixels
    assert sagittal.shape == (40, 36, 48)
    np.testing.assert_array_equal(sagittal, ras[::-1, ::-1, ::-1].transpose(0, 2, 1))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "RPI", "SAR", "ASL", "PIR", "LSA"])
@pytest.mark.parametrize("plane", PLANES)
def test_one_head_in_every_orientation(ras: Volume, codes: str, plane: str) -> None:
    expected = read(save(ras), plane)
    found = read(save(*stored_as(codes, ras, AFFINE)), plane)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.pixel_spacing_mm == expected.pixel_spacing_mm
    assert found.facts == expected.facts
    assert expected.facts is not None
    assert expected.facts.plane == plane


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "ASL"])
@pytest.mark.parametrize("plane", PLANES)
def test_a_rotated_affine(ras: Volume, codes: str, plane: str) -> None:
    """A head that lies askew in the scanner keeps its own slices, in every orientation."""
    a, b = np.deg2rad(20), np.deg2rad(-15)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    turned = AFFINE.copy()
    turned[:3, :3] = about_z @ about_x @ AFFINE[:3, :3]
    found = read(save(*stored_as(codes, ras, turned)), plane)
    np.testing.assert_array_equal(found.pixels, read(save(ras), plane).pixels)
    assert found.pixel_spacing_mm == pytest.approx((2, 2))


def test_positions_are_those_of_the_affine(ras: Volume) -> None:
    """Slice and pixel lead to the millimetres that voxel and affine lead to, in LPS."""
    for plane in PLANES:
        image = read(save(*stored_as("PIR", ras, AFFINE)), plane)
        assert image.facts is not None
        brightest = np.unravel_index(int(np.argmax(image.pixels)), image.pixels.shape)
        index, row, column = (int(part) for part in brightest)
        place = image.facts.slices[index]
        assert image.facts.row_direction is not None
        assert image.facts.column_direction is not None
        found = (
            np.asarray(place.position_mm)
            + 2 * column * np.asarray(image.facts.row_direction)
            + 2 * row * np.asarray(image.facts.column_direction)
        )
        voxels = np.argwhere(ras == ras.max())
        all_mm = voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3]
        assert np.abs(all_mm * [-1, -1, 1] - found).sum(axis=1).min() < 1e-6


@pytest.mark.parametrize(("axis", "plane"), [(0, "sagittal"), (1, "coronal")])
@pytest.mark.parametrize(("apart_mm", "is_kept"), [(5.0, True), (3.0, False), (60.0, False)])
def test_sagittal_and_coronal_slices_far_apart_are_not_cut_into_axial_ones(
    ras: Volume, axis: int, plane: str, apart_mm: float, is_kept: bool
) -> None:
    """As those of DICOM: what lies between them would be made up."""
    scale = np.ones(4)
    scale[axis] = apart_mm / 2
    image = read(save(*stored_as("LPS", ras, AFFINE @ np.diag(scale))))
    assert image.facts is not None
    assert image.facts.plane == (plane if is_kept else "axial")
    assert any("too far for axial" in note for note in image.notes) is is_kept
    if is_kept:
        expected = read(save(ras), plane)
        np.testing.assert_array_equal(image.pixels, expected.pixels)


def test_unequal_spacing_becomes_square_pixels(ras: Volume) -> None:
    thick = AFFINE @ np.diag([1, 1, 2.5, 1])
    axial = read(save(ras, thick))
    assert (axial.pixels.shape, axial.pixel_spacing_mm) == ((36, 48, 40), (2, 2))
    assert axial.facts is not None
    assert axial.facts.slice_spacing_mm == 5
    coronal = read(save(ras, thick), "coronal")
    assert (coronal.pixels.shape, coronal.pixel_spacing_mm) == ((48, 90, 40), (2, 2))
    # The outer edges stay: the first row's centre lies half a new pixel below the old edge.
    assert coronal.facts is not None
    assert coronal.facts.slices[0].position_mm is not None
    top_edge = thick[2, 3] + 5 * 35 + 2.5
    assert coronal.facts.slices[0].position_mm[2] == pytest.approx(top_edge - 1)
    old, new = np.arange(36) * 5.0, (np.arange(90) + 0.5) * 2 - 2.5
    expected = np.interp(new, old, ras[20, 30, ::-1])
    np.testing.assert_allclose(coronal.pixels[17, :, 19], expected, rtol=1e-5)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_versions_sample_storages_and_gzip(ras: Volume, kind: Any, order: str) -> None:
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.int16)
    data: bytes = kind(np.rint(ras).astype(np.int16), AFFINE, header).to_bytes()
    expected = np.rint(read(save(ras)).pixels)
    for stored in (data, gzip.compress(data)):
        image = read(stored)
        np.testing.assert_array_equal(image.pixels, expected)
        assert (image.mode, image.bit_depth) == ("int16", 16)


def test_the_first_volume_of_four_dimensions(ras: Volume) -> None:
    image = read(gzip.compress(save(np.stack([ras, ras * 2, ras * 3], axis=-1))))
    np.testing.assert_array_equal(image.pixels, read(save(ras)).pixels)
    assert image.notes == ("the first of 3 volumes is read",)
    with pytest.raises(BlankImageError, match="here: the first of 2 volumes is blank"):
        read(save(np.stack([0 * ras, ras], axis=-1)))


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_volumes_along_the_first_dimension_are_refused(ras: Volume, count: int) -> None:
    """As arrays of training programs have them: one slice of each would be read."""
    voxels = np.stack([ras] * count)

    def as_nrrd(voxels: Volume, kinds: str | None) -> bytes:
        return nrrd(voxels, kinds=kinds, space=None, space_directions=None, space_origin=None)

    for data in (save(voxels), mgh(voxels), as_nrrd(voxels, None)):
        with pytest.raises(UnsupportedFormatError, match="channels or time points"):
            read(data)
    listed = read(as_nrrd(voxels, "list domain domain domain"))
    assert listed.pixels.shape == read(as_nrrd(ras, None)).pixels.shape


def test_volumes_of_one_slice_each_are_slices(ras: Volume) -> None:
    image = read(save(np.rint(ras)[:, :, None, :]))
    np.testing.assert_array_equal(image.pixels, read(save(np.rint(ras))).pixels)
    assert image.notes == ("the 36 volumes have one slice each; they are read as slices",)


def test_one_slice_is_an_image(ras: Volume) -> None:
    image = read(save(ras[:, :, :1]))
    assert (image.is_volume, image.pixels.shape) == (False, (48, 40))
    assert read(save(ras[:, :, 0])).pixels.shape == (48, 40)


def test_scaling_and_values_that_are_not_finite(ras: Volume) -> None:
    made = nibabel.Nifti1Image(np.rint(ras).astype(np.int16), AFFINE)
    made.header.set_slope_inter(0.5, -7)
    np.testing.assert_allclose(
        read(made.to_bytes()).pixels, np.rint(read(save(ras)).pixels) * 0.5 - 7
    )
    odd = ras.copy()
    odd[0, 0, :4] = [np.nan, np.inf, -np.inf, 3e38]
    pixels = read(save(odd)).pixels
    assert np.isfinite(pixels).all()
    assert pixels.min() == ras.min()
    with pytest.raises(BlankImageError):
        read(save(np.full_like(ras, np.nan)))


def test_color_becomes_luma(ras: Volume) -> None:
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    colors = np.zeros(ras.shape, dtype=kind)
    colors["R"] = colors["G"] = colors["B"] = np.clip(ras, 0, 255).astype(np.uint8)
    image = read(save(colors))
    expected = read(save(np.clip(ras, 0, 255).astype(np.uint8)))
    np.testing.assert_array_equal(image.pixels, expected.pixels)
    assert (image.mode, image.bit_depth, image.notes) == ("RGB", 8, ())
    colors["G"] = colors["B"] = 0
    vivid = read(save(colors))
    assert (vivid.color, vivid.notes) == (Color.VIVID, ())


def test_complex_voxels_and_pairs_of_files_are_refused(ras: Volume) -> None:
    with pytest.raises(UnsupportedFormatError, match="complex voxels"):
        read(save(ras.astype(np.complex64)))
    for name in ("nifti1.hdr", "nifti2.hdr"):
        with pytest.raises(UnsupportedFormatError, match="header of a pair"):
            reader.read(SHIPPED / name)


@pytest.mark.parametrize("code", [1, 1536, 16384])
def test_other_types_of_voxels_are_refused(ras: Volume, code: int) -> None:
    plain = bytearray(save(ras))
    plain[70:72] = code.to_bytes(2, "little")
    message = f"voxels of type {code} are not supported; save them as float32"
    with pytest.raises(UnsupportedFormatError, match=message):
        read(bytes(plain))


def test_no_orientation_is_noted(ras: Volume) -> None:
    made = nibabel.Nifti1Image(ras, None)
    made.header.set_zooms((2, 2, 2))
    assert "does not state its orientation" in read(made.to_bytes()).notes[0]


def test_damage_is_corrupt(ras: Volume) -> None:
    plain = save(ras)
    for data in (plain[:-1], plain[:352], gzip.compress(plain)[:-2000], plain[:400]):
        with pytest.raises(CorruptInputError, match=r"^here: "):
            read(data)


def test_a_gzip_bomb_is_unfolded_no_further_than_needed(ras: Volume) -> None:
    """2 GB of zeros behind a small volume: only its own bytes are unfolded."""
    squeezed = gzip.compress(save(ras))
    zeros = gzip.compress(bytes(1 << 20))
    image = read(squeezed + zeros * 2000)
    assert image.pixels.shape == (36, 48, 40)


@pytest.mark.parametrize("shape", [(32767, 32767, 32767), (600, 600, 600), (64, 64, 5000)])
def test_absurd_dimensions_are_refused(ras: Volume, shape: tuple[int, int, int]) -> None:
    data = bytearray(save(ras))
    data[42:48] = np.array(shape, dtype="<i2").tobytes()
    for stored in (bytes(data), gzip.compress(bytes(data))):
        with pytest.raises(LimitExceededError):
            read(stored)


def test_a_slab_too_thin_for_a_plane_is_cut_as_it_was_acquired(ras: Volume) -> None:
    image = read(save(ras[:, :20]))
    np.testing.assert_array_equal(image.pixels, read(save(ras[:, :20]), "coronal").pixels)
    assert image.notes == ("too thin for axial slices; it is cut into coronal ones",)
    assert image.facts is not None
    assert image.facts.plane == "coronal"
    with pytest.raises(LimitExceededError, match="40x20 pixels"):
        read(save(ras[:, :20, :20]))


@pytest.mark.parametrize("size", [100, 4096, 50_000])
@pytest.mark.parametrize("tail", [b"", bytes(512), b"\x1f\x8b no member"])
def test_gzip_in_several_members(ras: Volume, size: int, tail: bytes) -> None:
    """As parallel and blocked compressors write it (RFC 1952 2.2)."""
    plain = save(ras)
    members = [gzip.compress(plain[at : at + size]) for at in range(0, len(plain), size)]
    members.insert(1, gzip.compress(b""))
    image = read(b"".join(members) + tail)
    np.testing.assert_array_equal(image.pixels, read(plain).pixels)


def header_of(data: bytes) -> nibabel.Nifti1Header:
    return nibabel.Nifti1Header(data[:348], check=False)


def with_header(data: bytes, **values: Any) -> bytes:
    """``data`` with fields of its header replaced; ``pixdim_1`` is an entry of one."""
    header = header_of(data)
    for name, value in values.items():
        field, _, place = name.rpartition("_")
        if place.isdigit():
            header[field][int(place)] = value
        else:
            header[name] = value
    return bytes(header.binaryblock) + data[348:]


def by_quaternion(ras: Volume, *quaternion: float, **values: Any) -> bytes:
    b, c, d = quaternion
    offsets = {"qoffset_x": 38.0, "qoffset_y": 44.0, "qoffset_z": -30.0}
    return with_header(
        save(ras), sform_code=0, qform_code=1, quatern_b=b, quatern_c=c, quatern_d=d,
        **(offsets | values),
    )  # fmt: skip


@pytest.mark.parametrize("length", [1 - 1e-6, 1.0, 1 + 1e-6, 1 + 1e-3])
def test_a_quaternion_of_any_length_near_one(ras: Volume, length: float) -> None:
    image = read(by_quaternion(ras, 0.0, 0.0, length))
    expected = read(save(ras, AFFINE @ np.diag([-1, -1, 1, 1]) + 0.0))
    assert image.pixels.shape == expected.pixels.shape
    np.testing.assert_array_equal(image.pixels, expected.pixels)
    assert image.notes == ()


def test_a_quaternion_as_nibabel_reads_it(ras: Volume) -> None:
    for quaternion in ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.1, 0.2, 0.3)):
        data = by_quaternion(ras, *quaternion)
        expected = save(ras, header_of(data).get_qform())
        np.testing.assert_array_equal(read(data).pixels, read(expected).pixels)


@pytest.mark.parametrize("size", [0.0, np.nan, np.inf, 1e30])
def test_a_voxel_size_that_makes_no_sense(ras: Volume, size: float) -> None:
    image = read(by_quaternion(ras, 0.0, 0.0, 0.0, **{f"pixdim_{k}": size for k in (1, 2, 3)}))
    np.testing.assert_array_equal(image.pixels, read(save(ras)).pixels)
    assert image.notes == ("a voxel size of the file is missing or not plausible; 1 is used",)
    assert image.pixel_spacing_mm == (1, 1)


def test_a_voxel_size_beside_an_sform_does_not_matter(ras: Volume) -> None:
    image = read(with_header(save(ras), pixdim_1=0.0, pixdim_3=np.nan))
    np.testing.assert_array_equal(image.pixels, read(save(ras)).pixels)
    assert (image.pixel_spacing_mm, image.notes) == ((2, 2), ())


@pytest.mark.parametrize(("shear", "is_told"), [(0, False), (0.1, False), (0.5, True)])
def test_axes_that_are_not_perpendicular_are_told(ras: Volume, shear: float, is_told: bool) -> None:
    affine = AFFINE.copy()
    affine[:3, 1] += shear * affine[:3, 0]
    told = [note for note in read(save(ras, affine)).notes if "not perpendicular" in note]
    assert (
        told == ["the axes of the file's sform are not perpendicular: the head is skewed"] * is_told
    )


def test_an_sform_that_makes_no_sense_is_not_used(ras: Volume) -> None:
    for row in ([0, 0, 0, 0], [np.nan, 0, 0, 0]):
        odd = with_header(save(ras), srow_x=row, qform_code=0)
        assert read(odd).notes == (
            "the file's sform is not plausible and is not used",
            "the file does not state its orientation; the usual one (LAS) is assumed",
        )
        image = read(with_header(by_quaternion(ras, 0, 0, 0), sform_code=1, srow_x=row))
        np.testing.assert_array_equal(image.pixels, read(save(ras)).pixels)
        assert image.notes == ("the file's sform is not plausible and is not used",)
        assert sides_of(image.facts) is not None


def test_sform_and_qform_that_disagree_are_noted_and_name_no_sides(ras: Volume) -> None:
    data = with_header(by_quaternion(ras, 0.0, 0.0, 1.0), sform_code=1)
    image = read(data)
    np.testing.assert_array_equal(image.pixels, read(save(ras)).pixels)
    assert image.notes == (
        "sform and qform of the file disagree about the orientation; the sform is used",
    )
    assert sides_of(image.facts) is None
    agreeing = read(with_header(by_quaternion(ras, 0.0, 0.0, 0.0), sform_code=1))
    assert (agreeing.notes, sides_of(agreeing.facts) is None) == ((), False)


def with_extension(data: bytes, content: int, stated: int, offset: float | None) -> bytes:
    """An extension of ``content`` bytes that says to be of ``stated``, and voxels behind it."""
    body = struct.pack("<ii", stated, 6) + b"x" * (content - 8)
    start = 352 + content if offset is None else offset
    return with_header(data, vox_offset=start)[:348] + b"\1\0\0\0" + body + data[352:]


@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
def test_an_extension_that_runs_past_the_voxels(ras: Volume, squeeze: Any) -> None:
    plain = save(ras)
    expected = read(plain).pixels
    assert read(squeeze(with_extension(plain, 112, 112, None))).notes == ()
    for stated in (128, 4000):
        image = read(squeeze(with_extension(plain, 112, stated, None)))
        np.testing.assert_array_equal(image.pixels, expected)
        assert image.notes == (
            "an extension of the header runs past the stated start of the voxels; they are read "
            "from there",
        )
    for stated in (-16, 0, 7):  # no extension: what it holds does not matter
        np.testing.assert_array_equal(
            read(squeeze(with_extension(plain, 112, stated, None))).pixels, expected
        )
    for offset in (0.0, 352.0, 400.0):  # read from there, all voxels would be shifted
        with pytest.raises(CorruptInputError, match="correct vox_offset"):
            read(squeeze(with_extension(plain, 112, 112, offset)))


def test_many_extensions_are_inflated_at_once(ras: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request copies what was inflated before: of a million, that would take minutes."""
    plain, sizes, inflate = save(ras), list[int](), Inflated._inflate

    def counted(stream: Inflated, size: int) -> None:
        sizes.append(size)
        inflate(stream, size)

    monkeypatch.setattr(Inflated, "_inflate", counted)
    extensions = struct.pack("<ii", 8, 0) * 1000
    header = with_header(plain, vox_offset=352.0 + len(extensions))[:348]
    image = read(gzip.compress(header + b"\1\0\0\0" + extensions + plain[352:]))
    np.testing.assert_array_equal(image.pixels, read(plain).pixels)
    assert image.notes == ()
    assert len(sizes) < 10


@pytest.mark.parametrize(("unit", "factor"), [(1, 1e-3), (3, 1e3)])
def test_units_of_length(ras: Volume, unit: int, factor: float) -> None:
    """Metres and microns are believed where the head then has a size that a head can have."""
    scaled = np.diag([factor] * 3 + [1]) @ AFFINE
    believed = read(with_header(save(ras, scaled), xyzt_units=unit))
    assert believed.pixel_spacing_mm == pytest.approx((2, 2))
    assert list(believed.notes) == []
    wrong = read(with_header(save(ras), xyzt_units=unit))
    assert wrong.pixel_spacing_mm == pytest.approx((2, 2))
    assert wrong.notes == ("the file's unit of length is not plausible; millimetres are assumed",)


def test_a_size_that_no_head_has_is_noted(ras: Volume) -> None:
    (note,) = read(save(ras, np.diag([200.0, 200, 200, 1]))).notes
    assert note == "no head is as large as the file says (8000, 9600, 7200 mm)"


def test_scaling_that_makes_no_sense(ras: Volume) -> None:
    plain = read(save(ras)).pixels
    for slope, intercept in ((0.0, 5.0), (np.nan, np.nan), (np.inf, 0.0)):
        image = read(with_header(save(ras), scl_slope=slope, scl_inter=intercept))
        np.testing.assert_array_equal(image.pixels, plain)
    image = read(with_header(save(ras), scl_slope=2.0, scl_inter=np.nan))
    np.testing.assert_array_equal(image.pixels, 2 * plain)
    assert image.notes == ("scl_inter is not a finite number; 0 is used",)
    turned = read(with_header(save(-ras), scl_slope=-1.0, scl_inter=0.0))
    np.testing.assert_array_equal(turned.pixels, plain)


def test_voxels_whose_place_is_not_stated_follow_the_header(ras: Volume) -> None:
    image = read(with_header(save(ras), vox_offset=0))
    np.testing.assert_array_equal(image.pixels, read(save(ras)).pixels)


def test_dimensions_of_nothing_beyond_the_second(ras: Volume) -> None:
    data = with_header(save(ras), dim_0=5, dim_4=0, dim_5=0)
    np.testing.assert_array_equal(read(data).pixels, read(save(ras)).pixels)


def test_another_plane_is_the_callers_mistake(ras: Volume) -> None:
    with pytest.raises(ValueError, match="plane must be one of"):
        read(save(ras), "transversal")


def test_files_that_nibabel_ships() -> None:
    anatomical = reader.read(SHIPPED / "anatomical.nii")
    assert anatomical.pixels.shape == (25, 41, 33)
    assert anatomical.pixel_spacing_mm == pytest.approx((2, 2))
    four = reader.read(SHIPPED / "example4d.nii.gz")
    assert four.pixels.shape == (24, 96, 128)
    with pytest.raises(LimitExceededError):
        reader.read(SHIPPED / "functional.nii")


@pytest.mark.realdata
def test_a_real_volume(data_dir: Path) -> None:
    """Frontal tumour of case 01: in front (upper half) and on the patient's left (right half)."""
    folder = data_dir / "brain-tumor-progression" / "nifti"
    image = reader.read(folder / "case01.Pre_T1post.nii.gz")
    outlined = nibabel.Nifti1Image.from_filename(folder / "case01.Pre_mask.nii.gz")
    tissue = np.asarray(
        nibabel.Nifti1Image.from_filename(folder / "case01.Pre_T1post.nii.gz").dataobj
    )
    # The mask alone is refused; filled with what it outlines it is an image.
    filled = (tissue * np.asarray(outlined.dataobj)).astype(np.float32)
    mask = read(save(filled, outlined.affine))
    assert image.pixels.shape == mask.pixels.shape == (24, 256, 256)
    assert image.facts is not None
    assert image.facts.plane == "axial"
    _, rows, columns = np.nonzero(mask.pixels)
    assert rows.mean() < 128 < columns.mean()
    assert os.fspath(folder) in image.source


@pytest.mark.parametrize(
    ("plane", "sides"), [("axial", "RLAP"), ("coronal", "RLHF"), ("sagittal", "APHF")]
)
def test_sides_are_those_of_the_block_that_lies_right_back_and_up(
    ras: Volume, plane: str, sides: str
) -> None:
    image = read(save(*stored_as("PIL", ras, AFFINE)), plane)
    found = sides_of(image.facts)
    assert found == tuple(sides)
    _, rows, columns = np.nonzero(image.pixels == 900)
    horizontal = found.left if columns.mean() < image.width / 2 else found.right
    vertical = found.top if rows.mean() < image.height / 2 else found.bottom
    assert horizontal in "RP"
    assert vertical in "PH"


def test_sides_that_are_assumed_are_not_named(ras: Volume) -> None:
    image = read(nibabel.Nifti1Image(ras, None).to_bytes())
    assert any("LAS" in note for note in image.notes)
    assert sides_of(image.facts) is None


def patched(data: bytes, at: int, kind: str, *values: float) -> bytes:
    changed = bytearray(data)
    struct.pack_into(f"<{kind}", changed, at, *values)
    return bytes(changed)


@pytest.mark.parametrize("slope", [1e35, -1e-35])
def test_a_slope_that_no_image_has(ras: Volume, slope: float) -> None:
    image = reader.read_bytes(patched(save(ras), 112, "2f", slope, 0))
    np.testing.assert_array_equal(image.pixels, reader.read_bytes(save(ras)).pixels)
    assert image.notes == ("scl_slope is not plausible; 1 is used",)


@pytest.mark.parametrize(("intent", "named"), [
    (1002, "label"), (3, "t test"), (0, ""), (1005, "symmetric matrix"), (1006, "displacement"),
    (1007, "vector"),
])  # fmt: skip
def test_values_that_are_no_intensities(ras: Volume, intent: int, named: str) -> None:
    notes = reader.read_bytes(patched(save(ras), 68, "h", intent)).notes
    assert [named in note for note in notes] == [True] * bool(named)


@pytest.mark.parametrize("labels", [(0, 1), (0, 1, 2, 4), (0, 255), (0, 0.5, 1)])
@pytest.mark.parametrize("plane", PLANES)
def test_a_label_map_is_refused(ras: Volume, labels: tuple[float, ...], plane: str) -> None:
    """Also where making its pixels square would interpolate between labels."""
    region = np.searchsorted(np.quantile(ras, (0.5, 0.8, 0.9)), ras)
    voxels = np.asarray(labels, np.float32)[np.minimum(region, len(labels) - 1)]
    with pytest.raises(UnsupportedFormatError, match=r"^here: a label map or mask"):
        read(save(voxels, AFFINE @ np.diag([1, 1, 2.5, 1])), plane)


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
@pytest.mark.parametrize("order", [1, 3])
def test_a_resampled_mask_is_refused(kind: type, order: Literal[1, 3]) -> None:
    mask = np.zeros((48, 48, 48))
    mask[10:38, 8:40, 12:40] = 100
    soft = zoom(mask, 1.3, order=order)
    soft = soft if kind is np.float32 else soft.clip(0, 200)
    assert len(np.unique(soft.astype(kind))) > 8
    with pytest.raises(UnsupportedFormatError, match=r"^here: a mask, not an image"):
        read(save(soft.astype(kind)))


def computed_maps() -> dict[str, NDArray[np.floating[Any]]]:
    """How likely each voxel belongs to a head or a lesion, and how far it lies within the head."""
    ball = np.hypot(*np.indices((48, 48)) - 23.5) < 18
    mask = np.stack([ball & (abs(z - 23.5) < 18) for z in range(48)])
    lesion = np.zeros(mask.shape)
    lesion[20:24, 20:24, 20:24] = 1
    tissue = (0.5 + 0.8 * np.sin(np.indices(mask.shape).sum(axis=0) / 2)).clip(0, 1)
    return {
        "probability": gaussian_filter(mask * tissue, 0.3).clip(0, 1),
        "probability of few": gaussian_filter(lesion, 1),
        "distance": distance_transform_edt(mask),
        "distance in mm": distance_transform_edt(mask, sampling=(1, 1, 2)),
    }


@pytest.mark.parametrize("name", computed_maps())
def test_maps_of_probabilities_and_distances_are_refused(name: str) -> None:
    what = name.split(maxsplit=1)[0]
    with pytest.raises(UnsupportedFormatError, match=rf"^here: a {what} map, not an image"):
        read(save(computed_maps()[name].astype(np.float32)))


def test_images_of_0_to_1_are_no_probability_maps(ras: Volume) -> None:
    noted = ras + np.abs(np.random.default_rng(3).normal(0, ras.max() / 50, ras.shape))
    for top in (1, 0.99, 0.98):
        clipped = np.minimum(noted, np.quantile(noted, top))
        read(save((clipped / clipped.max()).astype(np.float32)))


def test_bright_air_and_bright_tissue_are_no_mask(ras: Volume) -> None:
    """Inverted ones are refused elsewhere, with what to do; some windows make much white."""
    noted = ras + np.random.default_rng(3).normal(0, 1, ras.shape)
    read(save(noted.max() - noted))
    read(save(np.minimum(noted, np.quantile(noted, 0.85))))
    written = noted.copy()
    written[4:8, 4:16, 4:] = 60_000
    read(save(written))
    padded = noted.copy()
    padded[:12] = noted.max()
    read(save(padded))


def regions(shape: tuple[int, int, int], count: int) -> NDArray[np.int16]:
    """Boxes of about 8 voxels a side in the middle, each with one of ``count`` labels."""
    x, y, z = (axis // 8 for axis in np.indices(shape))
    names = np.cumsum(np.random.default_rng(1).integers(1, 60, count))
    made: NDArray[np.int16] = names[(x * 7 + y * 3 + z) % count].astype(np.int16)
    made[[0, 1, -1]] = made[:, :4] = made[:, -3:] = 0
    return made


@pytest.mark.parametrize("count", [9, 45, 180])
def test_a_parcellation_is_refused(count: int) -> None:
    """More labels than an image of 3 bits has values, as FreeSurfer's segmentations have them."""
    labels = regions((64, 72, 40), count)
    assert len(np.unique(labels)) > 8
    for voxels in (labels, labels.astype(np.float32)):
        with pytest.raises(UnsupportedFormatError, match=r"^here: a label map, not an image"):
            read(save(voxels))


def test_even_images_are_no_parcellations(ras: Volume) -> None:
    """Few gray levels, enlarged voxels, and values that are no whole numbers."""
    grainy = ras * np.random.default_rng(2).normal(1, 0.1, ras.shape)
    for levels in (9, 14, 40):
        read(save((grainy / ras.max() * levels).astype(np.uint8)))
    noise = np.random.default_rng(0).integers(1, 200, (60, 70, 40)).astype(np.uint8)
    read(save(noise.repeat(8, axis=0).repeat(8, axis=1)))
    read(save(regions((64, 72, 40), 45) / np.float32(7)))


def test_an_image_of_three_bits_is_no_label_map(ras: Volume) -> None:
    coarse = np.searchsorted(np.quantile(ras, np.arange(1, 8) / 8), ras).astype(np.uint8)
    assert len(np.unique(read(save(coarse)).pixels)) == 8


def test_more_voxels_than_are_stated(ras: Volume) -> None:
    for data in (save(ras), gzip.compress(save(ras))):
        plain = patched(gzip.decompress(data) if data[:1] == b"\x1f" else data, 46, "h", 0)
        image = reader.read_bytes(plain if data is plain else gzip.compress(plain))
        assert image.depth == 1
        assert image.notes == (
            "the file holds more voxels than it states; the others are not read",
        )


def test_values_that_are_no_numbers_are_told(ras: Volume) -> None:
    holed = ras.copy()
    holed[:4] = np.nan
    holed[4:6] = np.inf
    image = reader.read_bytes(save(holed))
    assert image.notes == (
        "15.0% of the samples are not usable numbers and are treated as background",
    )


def test_voxels_in_the_other_sample_storage_than_the_header(ras: Volume) -> None:
    soft = gaussian_filter(ras, 1)
    voxels = (soft / soft.max() * 4000).astype(np.int16)
    right, wrong = save(voxels), save(voxels.byteswap())
    image = read(wrong)
    np.testing.assert_array_equal(image.pixels, read(right).pixels)
    assert (image.notes, read(right).notes) == ((SWAPPED,), ())


@pytest.mark.parametrize("signed", [False, True])
def test_voxels_of_the_other_sign_than_stated(ras: Volume, signed: bool) -> None:
    """Values beyond the half of what the bits can hold, or noise about zero."""
    soft = gaussian_filter(ras - ras.min(), 1)
    noise = np.random.default_rng(0).normal(0, 100, soft.shape)
    values = soft / soft.max() * (4000 if signed else 65000) + noise * signed
    kind, other = (np.int16, np.uint16) if signed else (np.uint16, np.int16)
    right, wrong = (save(values.astype(kind).view(one)) for one in (kind, other))
    np.testing.assert_array_equal(read(wrong).pixels, read(right).pixels)
    assert (read(wrong).notes, read(right).notes) == ((OTHER_SIGN,), ())
