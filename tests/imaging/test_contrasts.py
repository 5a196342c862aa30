"""Volumes of one series are told apart, and never mixed slice by slice."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from tumorlens.imaging import reader
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.series import UNPLACED
from tumorlens.imaging.study import read_study

Gray = NDArray[np.uint8]
Write = Callable[..., bytes]
ENHANCED = "1.2.840.10008.5.1.4.1.1.4.1"
DEPTH = 6


@pytest.fixture(scope="session")
def volume(head: Gray) -> NDArray[np.uint16]:
    """Slices that differ, (6, 200, 180)."""
    return np.stack([head.astype(np.uint16) + 20 * index for index in range(DEPTH)])


@pytest.fixture(scope="session")
def other(volume: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """What must not get between them."""
    return np.random.default_rng(0).integers(0, 4000, volume.shape).astype(np.uint16)


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def series(
    folder: Path,
    write: Write,
    first: NDArray[np.uint16],
    second: NDArray[np.uint16],
    tags: Callable[[int, int], dict[str, Any]] | tuple[dict[str, Any], dict[str, Any]],
    apart: float = 0.0,
    thickness: float | None = 5,
) -> MedicalImage:
    """Two volumes in one series, the second ``apart`` millimetres beside the first.

    ``tags`` are those of each volume, or of each index and volume.
    """
    for part, pixels in enumerate((first, second)):
        for index, plane in enumerate(pixels):
            own = tags(index, part) if callable(tags) else tags[part]
            data = write(
                plane,
                SOPInstanceUID=f"1.2.{part}.{index + 1}",
                ImagePositionPatient=[0, 0, 5.0 * index + apart * part],
                SliceThickness=thickness,
                **{"InstanceNumber": 2 * index + part} | own,
            )
            (folder / f"{index}-{1 - part}").write_bytes(data)
    (image,) = read_study(folder).images
    return image


PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "echo number": ({"EchoNumbers": 1}, {"EchoNumbers": 2}),
    "echo time": ({"EchoTime": 10}, {"EchoTime": 90}),
    "b-value": ({"DiffusionBValue": 0.0}, {"DiffusionBValue": 1000.0}),
    "time point": ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
    "inversion time": ({"InversionTime": 100}, {"InversionTime": 900}),
    "flip angle": ({"FlipAngle": 5}, {"FlipAngle": 26}),
    "acquisition": ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
    "phase": (
        {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]},
    ),
    "Philips phase": (
        {"ImageType": ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]},
    ),
    "real": (
        {"ComplexImageComponent": "MAGNITUDE"}, {"ComplexImageComponent": "REAL"},
    ),
    "water and fat": (
        {"ImageType": ["DERIVED", "PRIMARY", "W"]}, {"ImageType": ["DERIVED", "PRIMARY", "F"]},
    ),
    "sequence": ({"SequenceName": "*ep_b0"}, {"SequenceName": "*ep_b1000"}),
    "scanning sequence": ({"ScanningSequence": "GR"}, {"ScanningSequence": "SE"}),
    "averages": ({"NumberOfAverages": 1}, {"NumberOfAverages": 4}),
    "nucleus": ({"ImagedNucleus": "1H"}, {"ImagedNucleus": "2H"}),
    "coil": ({"ReceiveCoilName": "A"}, {"ReceiveCoilName": "B"}),
    "series number": ({"SeriesNumber": 3}, {"SeriesNumber": 4}),
    "description": ({"SeriesDescription": "T1"}, {"SeriesDescription": "T2"}),
    "description of fat": (
        {"SeriesDescription": "t1_dixon_W"}, {"SeriesDescription": "t1_dixon_F"},
    ),
    "effective echo time": ({"EffectiveEchoTime": 10.0}, {"EffectiveEchoTime": 90.0}),
    "comment": ({"ImageComments": "control"}, {"ImageComments": "label"}),
    "protocol": ({"ProtocolName": "a"}, {"ProtocolName": "b"}),
    "frame of reference": ({"FrameOfReferenceUID": "1.2"}, {"FrameOfReferenceUID": "1.3"}),
    "contrast agent": ({}, {"ContrastBolusAgent": "Gd"}),
    "echo train": ({"EchoTrainLength": 1}, {"EchoTrainLength": 9}),
    "derivation": ({"DerivationDescription": "a"}, {"DerivationDescription": "b"}),
    "patient position": ({"PatientPosition": "HFP"}, {"PatientPosition": "HFS"}),
    "series date": ({"SeriesDate": "20200101"}, {"SeriesDate": "20200202"}),
    "series time": ({"SeriesTime": "100100"}, {"SeriesTime": "100200"}),
    "pixel size": ({"PixelSpacing": [1, 1]}, {"PixelSpacing": [2, 2]}),
    "computed": (
        {"ImageType": ["ORIGINAL", "PRIMARY"]}, {"ImageType": ["DERIVED", "SECONDARY"]},
    ),
}  # fmt: skip
SOFT = ("acquisition", "phase", "Philips phase", "real")
"""Interleaved parts of one acquisition are one volume; other components have notes of their own."""


@pytest.mark.parametrize("apart", [0.0, 0.02, -0.3])
@pytest.mark.parametrize("kind", PAIRS)
def test_volumes_of_one_series_are_not_mixed(
    tmp_path: Path,
    write_dicom: Write,
    volume: NDArray[np.uint16],
    other: NDArray[np.uint16],
    kind: str,
    apart: float,
) -> None:
    """Whatever tells them apart, and whether or not they lie at exactly the same positions."""
    image = series(tmp_path, write_dicom, volume, other, PAIRS[kind], apart)
    np.testing.assert_array_equal(image.pixels, volume)
    assert len(image.notes) == 1
    assert f"{DEPTH} slices" in image.notes[0]
    assert "left out" in image.notes[0]


@pytest.mark.parametrize(("is_windowed", "count"), [(False, 2), (True, 1)])
@pytest.mark.parametrize("odd", ["bits", "photometric"])
def test_slices_stored_in_other_units_are_two_volumes(
    tmp_path: Path,
    write_dicom: Write,
    volume: NDArray[np.uint16],
    odd: str,
    is_windowed: bool,
    count: int,
) -> None:
    """But where each has a window, all are in the unit of the screen."""
    window = {"WindowCenter": 100, "WindowWidth": 250} if is_windowed else {}
    for index, plane in enumerate(volume):
        other: dict[str, object] = {}
        if index % 2 and odd == "photometric":
            other = {"PhotometricInterpretation": "MONOCHROME1"}
        stored = (plane // 4).astype(np.uint8) if index % 2 and odd == "bits" else plane
        where = {"SOPInstanceUID": f"1.2.{index + 1}", "ImagePositionPatient": [0, 0, 5 * index]}
        (tmp_path / str(index)).write_bytes(write_dicom(stored, **where, **window, **other))
    images = read_study(tmp_path).images
    assert len(images) == count
    assert all(any("samples" in note for note in one.notes) for one in images) is not is_windowed


@pytest.mark.parametrize("kind", [kind for kind in PAIRS if kind not in SOFT])
def test_volumes_between_each_other_are_two(
    tmp_path: Path,
    write_dicom: Write,
    volume: NDArray[np.uint16],
    other: NDArray[np.uint16],
    kind: str,
) -> None:
    """Half a distance apart: none is left out, and none lies between the slices of another."""
    pairs = zip((volume, other), PAIRS[kind], strict=True)
    for part, (pixels, tags) in enumerate(pairs):
        for index, plane in enumerate(pixels):
            where = {"ImagePositionPatient": [0, 0, 5 * index + 2.5 * part]}
            data = write_dicom(plane, SOPInstanceUID=f"1.2.{part}.{index + 1}", **where | tags)
            (tmp_path / f"{index}-{part}").write_bytes(data)
    images = sorted(read_study(tmp_path).images, key=lambda image: image.pixels.max())
    for image, pixels in zip(images, (volume, other), strict=True):
        np.testing.assert_array_equal(image.pixels, pixels)
        assert ["each set is a separate volume" in note for note in image.notes] == [True]


def test_many_volumes_between_each_other_are_named_in_one_note(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16]
) -> None:
    echoes = [10 + 20 * part for part in range(7)]
    for part, echo in enumerate(echoes):
        for index, plane in enumerate(volume):
            data = write_dicom(
                plane, SOPInstanceUID=f"1.2.{part}.{index + 1}", EchoTime=echo,
                ImagePositionPatient=[0, 0, 7 * index + part],
            )  # fmt: skip
            (tmp_path / f"{index}-{part}").write_bytes(data)
    notes = [image.notes for image in read_study(tmp_path).images]
    end = "lie at different positions; each set is a separate volume"
    first = "within one series, slices with echo time"
    assert sorted(notes) == sorted(
        [(f"{first} 10 and with echo time 30, 50, 70, 90 and 2 more {end}",)]
        + [(f"{first} {echo} and with echo time 10 {end}",) for echo in echoes[1:]]
    )


@pytest.mark.parametrize("tags", [{"EchoTime": 90}, {"SeriesDescription": "b"}])
def test_one_odd_slice_is_no_volume_of_its_own(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16], tags: dict[str, Any]
) -> None:
    for index, plane in enumerate(volume):
        usual = {"EchoTime": 10, "SeriesDescription": "a"} | (tags if index == 2 else {})
        data = write_dicom(plane, ImagePositionPatient=[0, 0, index], **usual)
        (tmp_path / f"{index}").write_bytes(data)
    (image,) = read_study(tmp_path).images
    np.testing.assert_array_equal(image.pixels, volume)


@pytest.mark.parametrize("keyword", ["AcquisitionTime", "ContentTime", "AcquisitionDateTime"])
def test_the_earlier_of_two_volumes_that_only_the_clock_tells_apart(
    tmp_path: Path,
    write_dicom: Write,
    volume: NDArray[np.uint16],
    other: NDArray[np.uint16],
    keyword: str,
) -> None:
    day = "20260101" if keyword == "AcquisitionDateTime" else ""
    times = [{keyword: f"{day}10{minute}00", "InstanceNumber": None} for minute in (10, 20)]
    image = series(tmp_path, write_dicom, volume, other, (times[0], times[1]))
    np.testing.assert_array_equal(image.pixels, volume)


def test_volumes_that_nothing_tells_apart_are_noted(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16], other: NDArray[np.uint16]
) -> None:
    nothing: dict[str, Any] = {"InstanceNumber": None}
    image = series(tmp_path, write_dicom, volume, other, (nothing, nothing))
    assert "several volumes may be mixed" in image.notes[1]


def shuffled(index: int, part: int) -> dict[str, Any]:
    """Numbers that follow neither the volumes nor the positions."""
    return {"InstanceNumber": (5, 0, 9, 2, 8, 1, 3, 11, 4, 10, 6, 7)[2 * index + part]}


def test_volumes_with_numbers_in_no_order_are_noted(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16], other: NDArray[np.uint16]
) -> None:
    image = series(tmp_path, write_dicom, volume, other, shuffled)
    assert "several volumes may be mixed" in image.notes[1]


def test_of_two_components_the_real_one_is_used(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16], other: NDArray[np.uint16]
) -> None:
    tags = ({"ComplexImageComponent": "REAL"}, {"ComplexImageComponent": "IMAGINARY"})
    image = series(tmp_path, write_dicom, volume, other, tags)
    np.testing.assert_array_equal(image.pixels, volume)
    assert image.notes[0].startswith("these are real images")


@pytest.mark.parametrize("kind", ["LOCALIZER", "MIP"])
def test_a_localizer_or_projection_between_slices_is_none_of_them(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16], other: NDArray[np.uint16],
    kind: str,
) -> None:  # fmt: skip
    planes = [*volume, other[0]]
    for index, plane in enumerate(planes):
        is_slice = index < len(volume)
        data = write_dicom(
            plane, SOPInstanceUID=f"1.2.{index + 1}", InstanceNumber=index,
            ImagePositionPatient=[0, 0, 5.0 * index if is_slice else 12.5],
            ImageType=["ORIGINAL", "PRIMARY", "M" if is_slice else kind],
        )  # fmt: skip
        (tmp_path / f"{index}").write_bytes(data)
    largest = max(read_study(tmp_path).images, key=lambda image: image.depth)
    np.testing.assert_array_equal(largest.pixels, volume)
    assert largest.facts is not None
    assert not largest.facts.outside_training


@pytest.mark.parametrize(("group", "creator", "element", "kind", "values", "noted"), [
    (0x19, "SIEMENS MR HEADER", 0x0C, "IS", (0, 1000), "b-value 1000"),
    (0x43, "GEMS_PARM_01", 0x39, "IS", ([10**9, 8, 0, 0], [10**9 + 1000, 8, 0, 0]), "b-value 1000"),
    (0x2001, "Philips Imaging DD 001", 0x03, "FL", (0.0, 1000.0), "b-value 1000"),
    (0x65, "Image Private Header", 0x09, "FD", (0.0, 1000.0), "b-value 1000"),
    (0x2005, "Philips MR Imaging DD 001", 0x11, "CS", ("M", "P"), "component phase"),
])  # fmt: skip
def test_what_only_an_element_of_the_maker_states(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16], other: NDArray[np.uint16],
    group: int, creator: str, element: int, kind: str, values: tuple[Any, Any], noted: str,
) -> None:  # fmt: skip
    series(tmp_path, write_dicom, volume, other, shuffled)
    for path in tmp_path.iterdir():
        dataset = dcmread(path)
        block = dataset.private_block(group, creator, create=True)
        block.add_new(element, kind, values[path.name.endswith("-0")])
        dataset.save_as(path)
    (image,) = read_study(tmp_path).images
    np.testing.assert_array_equal(image.pixels, volume)
    assert noted in image.notes[0]


@pytest.mark.parametrize("first", [0, 1])
def test_the_component_that_only_an_element_of_ge_states(
    tmp_path: Path,
    write_dicom: Write,
    volume: NDArray[np.uint16],
    other: NDArray[np.uint16],
    first: int,
) -> None:
    for part, pixels in ((0, volume), (1, other)):
        for index, plane in enumerate(pixels):
            number = 2 * index + (part != first)
            data = write_dicom(
                plane, SOPInstanceUID=f"1.2.{part}.{index + 1}", InstanceNumber=number,
                ImagePositionPatient=[0, 0, 5.0 * index],
            )  # fmt: skip
            dataset = dcmread(BytesIO(data))
            block = dataset.private_block(0x43, "GEMS_PARM_01", create=True)
            block.add_new(0x2F, "SS", part)
            dataset.save_as(tmp_path / f"{number}")
    (image,) = read_study(tmp_path).images
    np.testing.assert_array_equal(image.pixels, volume)
    assert "component phase" in image.notes[0]


def in_folders(
    folder: Path,
    write: Write,
    parts: Sequence[Sequence[tuple[float, NDArray[np.uint16]]]],
    tags: Callable[[int, int], dict[str, Any]] = lambda part, index: {},
) -> Path:
    """A folder for each of ``parts``, with slices at positions in millimetres."""
    for part, slices in enumerate(parts):
        (folder / f"case{part}").mkdir()
        for index, (at, plane) in enumerate(slices):
            own = {"SOPInstanceUID": f"1.2.{part}.{index + 1}", "InstanceNumber": index}
            data = write(plane, **own | {"ImagePositionPatient": [0, 0, at]} | tags(part, index))
            (folder / f"case{part}" / f"{index}").write_bytes(data)
    return folder


def at_5_mm(pixels: NDArray[np.uint16], first: float = 0.0) -> list[tuple[float, Any]]:
    return [(first + 5.0 * index, plane) for index, plane in enumerate(pixels)]


ALIKE: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "numbers": lambda part, index: {},
    "times of their own": lambda part, index: {"AcquisitionTime": f"1{part}0000"},
    "the same UIDs": lambda part, index: {"SOPInstanceUID": f"1.2.3.{index}"},
}


@pytest.mark.parametrize("first", [0.0, 1.7, -3.0, 12.5])
@pytest.mark.parametrize("kind", ALIKE)
def test_volumes_that_only_their_folders_tell_apart_are_separate(
    tmp_path: Path,
    write_dicom: Write,
    volume: NDArray[np.uint16],
    other: NDArray[np.uint16],
    kind: str,
    first: float,
) -> None:
    """Two patients after an anonymiser that gave both the same UIDs, anywhere in the scanner."""
    parts = [at_5_mm(volume), at_5_mm(other, first)]
    images = read_study(in_folders(tmp_path, write_dicom, parts, ALIKE[kind])).images
    for image, pixels, name in zip(images, (volume, other), ("case0", "case1"), strict=True):
        np.testing.assert_array_equal(image.pixels, pixels)
        assert any(note.endswith("each folder is a separate volume") for note in image.notes)
        assert image.facts is not None
        assert image.facts.folder == str(tmp_path / name)


def test_folders_that_repeat_numbers_are_separate_without_positions(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16], other: NDArray[np.uint16]
) -> None:
    parts = [at_5_mm(volume), at_5_mm(other)]
    folder = in_folders(tmp_path, write_dicom, parts, lambda *_: {"ImagePositionPatient": None})
    images = read_study(folder).images
    for image, pixels in zip(images, (volume, other), strict=True):
        np.testing.assert_array_equal(image.pixels, pixels)
        assert image.notes[0].endswith("each folder is a separate volume")


@pytest.mark.parametrize("parts", [(slice(0, 3), slice(3, 6)), (slice(0, 6, 2), slice(1, 6, 2))])
def test_a_volume_in_several_folders_is_one(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16], parts: tuple[slice, slice]
) -> None:
    stored = [at_5_mm(volume)[part] for part in parts]
    (image,) = read_study(in_folders(tmp_path, write_dicom, stored)).images
    np.testing.assert_array_equal(image.pixels, volume)
    assert image.notes == ()


def test_copies_in_another_folder_are_no_volume(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16]
) -> None:
    parts = [at_5_mm(volume), at_5_mm(volume)]
    folder = in_folders(tmp_path, write_dicom, parts, ALIKE["the same UIDs"])
    (image,) = read_study(folder).images
    np.testing.assert_array_equal(image.pixels, volume)
    assert image.notes == ("6 slices repeat the position of another and are left out",)


def test_the_note_names_what_is_left_out(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16], other: NDArray[np.uint16]
) -> None:
    image = series(tmp_path, write_dicom, volume, other, PAIRS["echo number"])
    assert image.notes == (
        "6 slices with echo 2 lie at the positions of those with echo 1 and are left out",
    )


def test_volumes_that_nothing_but_their_numbers_tells_apart(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16], other: NDArray[np.uint16]
) -> None:
    image = series(tmp_path, write_dicom, volume, other, ({}, {}), apart=0.02)
    np.testing.assert_array_equal(image.pixels, volume)
    assert image.notes == (
        "6 slices with instance number 1 to 11 lie at the positions of those with instance number "
        "0 to 10 and are left out",
    )


WEAK: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "window": lambda i, part: {
        "WindowCenter": (500, 60)[part], "WindowWidth": (900, 90)[part], "InstanceNumber": 1 + i,
    },
    "acquisition time": lambda i, part: {
        "AcquisitionTime": f"10{10 + part}0{i}.5", "InstanceNumber": 1 + i + part,
    },
    "content time": lambda i, part: {
        "ContentTime": f"10{10 + part}00", "InstanceNumber": 1 + i + part,
    },
    "instance number": lambda i, part: {"InstanceNumber": DEPTH * part + (i if part else 5 - i)},
}  # fmt: skip


@pytest.mark.parametrize("kind", WEAK)
def test_whole_volumes_that_only_the_clock_a_number_or_the_window_tells_apart(
    tmp_path: Path,
    write_dicom: Write,
    volume: NDArray[np.uint16],
    other: NDArray[np.uint16],
    kind: str,
) -> None:
    image = series(tmp_path, write_dicom, volume, other, WEAK[kind])
    assert image.facts is not None
    assert len({Path(place.path).name[-1] for place in image.facts.slices}) == 1
    assert len(image.facts.slices) == DEPTH
    if kind != "window":
        np.testing.assert_array_equal(image.pixels, volume)
    assert f"6 slices with {kind}" in image.notes[0]


def test_slices_taken_twice_here_and_there_are_no_volume(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16]
) -> None:
    """Each slice has a clock and a number of its own; two were repeated."""
    for number, index in enumerate((0, 1, 2, 3, 4, 5, 1, 3)):
        data = write_dicom(
            volume[index], SOPInstanceUID=f"1.2.{number + 1}", AcquisitionTime=f"10100{number}",
            InstanceNumber=number + 1, ImagePositionPatient=[0, 0, 5.0 * index],
        )  # fmt: skip
        (tmp_path / f"{number}").write_bytes(data)
    (image,) = read_study(tmp_path).images
    np.testing.assert_array_equal(image.pixels, volume)
    assert image.notes == ("2 slices repeat the position of another and are left out",)


@pytest.mark.parametrize("how", ["DimensionIndexValues", "FrameAcquisitionDateTime", "window"])
def test_frames_that_only_index_clock_or_window_tell_apart(
    write_dicom: Write, volume: NDArray[np.uint16], other: NDArray[np.uint16], how: str
) -> None:
    order = [(i, part) for i in range(DEPTH) for part in ((0, 1) if i % 2 else (1, 0))]
    order = sorted(order, key=lambda pair: (7 * pair[0] + 4 * pair[1]) % 13)
    groups = []
    for i, part in order:
        content = {
            "DimensionIndexValues": item(DimensionIndexValues=[1, i + 1, 9 + part]),
            "FrameAcquisitionDateTime": item(FrameAcquisitionDateTime=f"2026010110{10 + part}0{i}"),
            "window": item(),
        }[how]
        window = item(WindowCenter=(2000, 1990)[part], WindowWidth=5000)
        groups.append(
            item(
                PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 5.0 * i])],
                PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
                FrameContentSequence=[content],
                **({"FrameVOILUTSequence": [window]} if how == "window" else {}),
            )
        )
    data = write_dicom(
        np.stack([(volume, other)[part][i] for i, part in order]), SOPClassUID=ENHANCED,
        PerFrameFunctionalGroupsSequence=groups,
    )  # fmt: skip
    image = reader.read_bytes(data)
    assert image.facts is not None
    first = order[0][1] if how == "window" else 0
    kept = [order[(place.frame or 1) - 1] for place in image.facts.slices]
    assert kept == [(i, first) for i in range(DEPTH)]
    assert "6 slices with" in image.notes[0]


@pytest.mark.parametrize("stacks", ["one", "two", "echoes"])
def test_frames_without_positions_are_in_the_order_of_their_stack(
    write_dicom: Write, volume: NDArray[np.uint16], stacks: str
) -> None:
    """The file stores them in another order; a second stack or echo is never mixed in."""
    order = [3, 0, 5, 1, 4, 2]
    groups = [
        item(
            FrameContentSequence=[
                item(StackID="2" if part and stacks == "two" else "1", InStackPositionNumber=i + 1)
            ],
            MREchoSequence=[item(EffectiveEchoTime=10.0 + 80 * (part and stacks == "echoes"))],
        )
        for part in range(1 if stacks == "one" else 2)
        for i in order
    ]
    pixels = np.concatenate([volume[order], 7 * volume[order]])[: len(groups)]
    data = write_dicom(pixels, SOPClassUID=ENHANCED, PerFrameFunctionalGroupsSequence=groups)
    image = reader.read_bytes(data)
    np.testing.assert_array_equal(image.pixels, volume)
    assert image.notes[0] == (
        "positions of the slices are not stated; they are in the order of InStackPositionNumber"
    )
    assert len(image.notes) == (1 if stacks == "one" else 2)


def test_half_a_volume_is_no_first_choice(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16], other: NDArray[np.uint16]
) -> None:
    """Two slices of echo 1 among six of echo 2: the full volume is used."""
    image = series(tmp_path, write_dicom, other[:2], volume, PAIRS["echo number"])
    np.testing.assert_array_equal(image.pixels, volume)
    assert "2 slices with echo 1" in image.notes[0]


def test_parts_acquired_one_after_the_other_stay_one_volume(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16]
) -> None:
    """Odd slices in one acquisition, even ones in another: the usual interleaved scan."""
    for index, plane in enumerate(volume):
        data = write_dicom(
            plane, ImagePositionPatient=[0, 0, 5.0 * index], AcquisitionNumber=1 + index % 2,
            TriggerTime=str(100 * index), EchoTime=str(10 + index % 2 / 100),
        )  # fmt: skip
        (tmp_path / f"{index}").write_bytes(data)
    (image,) = read_study(tmp_path).images
    np.testing.assert_array_equal(image.pixels, volume)
    assert image.notes == ()


@pytest.mark.parametrize("how", [
    "FrameType", "ComplexImageComponent", "echo", "b-value", "time", "direction", "directionality",
    "phase", "breath", "label",
])  # fmt: skip
def test_frames_of_one_file_are_not_mixed(
    write_dicom: Write, volume: NDArray[np.uint16], other: NDArray[np.uint16], how: str
) -> None:
    """Enhanced MR: two volumes whose frames come in changing order."""
    order = [(i, part) for i in range(DEPTH) for part in ((0, 1) if i % 2 else (1, 0))]
    kinds: dict[str, Callable[[int], dict[str, Any]]] = {
        "FrameType": lambda part: {
            "MRImageFrameTypeSequence": [
                item(FrameType=["ORIGINAL", "PRIMARY", "MP"[part], "NONE"])
            ]
        },
        "ComplexImageComponent": lambda part: {
            "MRImageFrameTypeSequence": [
                item(
                    FrameType=["ORIGINAL", "PRIMARY", "T1", "NONE"],
                    ComplexImageComponent=("MAGNITUDE", "PHASE")[part],
                )
            ]
        },
        "echo": lambda part: {"MREchoSequence": [item(EffectiveEchoTime=(10.0, 90.0)[part])]},
        "b-value": lambda part: {
            "MRDiffusionSequence": [item(DiffusionBValue=(0.0, 1000.0)[part])]
        },
        "direction": lambda part: {
            "MRDiffusionSequence": [
                item(
                    DiffusionGradientDirectionSequence=[
                        item(DiffusionGradientOrientation=[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]][part])
                    ]
                )
            ]
        },
        "directionality": lambda part: {
            "MRDiffusionSequence": [
                item(DiffusionDirectionality=("DIRECTIONAL", "ISOTROPIC")[part])
            ]
        },
        "phase": lambda part: {
            "CardiacSynchronizationSequence": [
                item(NominalPercentageOfCardiacPhase=10.0 + 50 * part)
            ]
        },
        "breath": lambda part: {
            "RespiratorySynchronizationSequence": [
                item(NominalRespiratoryTriggerDelayTime=10.0 + 50 * part)
            ]
        },
        "label": lambda part: {"FrameContentSequence": [item(FrameLabel="ab"[part])]},
        "time": lambda part: {"FrameContentSequence": [item(TemporalPositionIndex=1 + part)]},
    }
    per_frame = kinds[how]
    groups = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 5.0 * i])],
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            **per_frame(part),
        )
        for i, part in order
    ]
    data = write_dicom(
        np.stack([(volume, other)[part][i] for i, part in order]),
        SOPClassUID=ENHANCED,
        PerFrameFunctionalGroupsSequence=groups,
    )
    image = reader.read_bytes(data)
    np.testing.assert_array_equal(image.pixels, volume)
    assert len(image.notes) == 1
    assert "6 slices with" in image.notes[0]


def test_frames_without_a_position_beside_others_are_noted(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16]
) -> None:
    placed = [{"ImagePositionPatient": [0, 0, 5.0 * i]} for i in range(DEPTH - 1)]
    groups = [
        item(
            PlanePositionSequence=[item(**stated)],
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        )
        for stated in [*placed, {}]
    ]
    data = write_dicom(volume, SOPClassUID=ENHANCED, PerFrameFunctionalGroupsSequence=groups)
    (tmp_path / "enhanced").write_bytes(data)
    whole, rest = read_study(tmp_path).images
    assert (len(whole.pixels), rest.is_volume) == (DEPTH - 1, False)
    assert UNPLACED in rest.notes
    assert UNPLACED not in whole.notes


def test_phase_images_alone_are_noted(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16]
) -> None:
    for index, plane in enumerate(volume):
        data = write_dicom(plane, ImagePositionPatient=[0, 0, index], **PAIRS["phase"][1])
        (tmp_path / f"{index}").write_bytes(data)
    (image,) = read_study(tmp_path).images
    assert image.notes == (
        "these are phase images; there are no magnitude images at their positions",
    )


def test_a_phase_volume_elsewhere_is_a_volume_of_its_own(
    tmp_path: Path, write_dicom: Write, volume: NDArray[np.uint16], other: NDArray[np.uint16]
) -> None:
    for part, pixels in enumerate((volume, other)):
        for index, plane in enumerate(pixels):
            data = write_dicom(
                plane, ImagePositionPatient=[0, 0, index + 50 * part], SliceThickness=1,
                **PAIRS["phase"][part],
            )  # fmt: skip
            (tmp_path / f"{part}-{index}").write_bytes(data)
    magnitude, phase = read_study(tmp_path).images
    np.testing.assert_array_equal(magnitude.pixels, volume)
    np.testing.assert_array_equal(phase.pixels, other)
