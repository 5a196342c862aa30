"""Facts, refusals, and frames of multi-frame files."""

import gzip
import io
import logging
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
from tests.imaging.recognised import rows

from tumorlens.errors import (
    CorruptInputError,
    LimitExceededError,
    NotMRError,
    UnsupportedFormatError,
)
from tumorlens.imaging import reader
from tumorlens.imaging.dicom import subject
from tumorlens.imaging.dicom.header import header_of
from tumorlens.imaging.dicom.parse import parse
from tumorlens.imaging.facts import AcquisitionFacts
from tumorlens.imaging.raster import encode

Gray = NDArray[np.uint8]
Write = Callable[..., bytes]
ENHANCED = "1.2.840.10008.5.1.4.1.1.4.1"


def facts(data: bytes) -> AcquisitionFacts:
    found = reader.read_bytes(data, "here").facts
    assert found is not None
    return found


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def groups(position: Sequence[float], orientation: Sequence[float], **more: Any) -> Dataset:
    """Functional groups of one frame."""
    return item(
        PlanePositionSequence=[item(ImagePositionPatient=list(position))],
        PlaneOrientationSequence=[item(ImageOrientationPatient=list(orientation))],
        **more,
    )


def test_facts(head: Gray, write_dicom: Write) -> None:
    found = facts(
        write_dicom(
            head,
            BodyPartExamined="BRAIN", SequenceName="*tfl3d1", ScanningSequence=["GR", "IR"],
            ContrastBolusAgent="Gadovist", SeriesDescription="t1 mpr tra", SeriesNumber=7,
            FrameOfReferenceUID="1.9",
            ImageOrientationPatient=[0, 1, 0, 0, 0, -1],
        )
    )  # fmt: skip
    assert (found.modality, found.body_part, found.sequence_name) == ("MR", "BRAIN", "*tfl3d1")
    assert found.scanning_sequence == ("GR", "IR")
    assert (found.contrast_agent, found.series_description) == ("Gadovist", "t1 mpr tra")
    assert found.series_number == 7
    assert (found.study_instance_uid, found.series_instance_uid) == ("1.2", "1.2.3")
    assert (found.frame_of_reference_uid, found.plane) == ("1.9", "sagittal")
    (place,) = found.slices
    assert (place.path, place.member, place.frame) == ("here", None, None)
    assert (place.sop_instance_uid, place.position_mm) == ("1.2.3.4", (-90, -100, 0))
    assert "Phantom" not in repr(found)


@pytest.mark.parametrize("modality", ["CT", "US", "PT", "XC"])
def test_other_modalities_are_refused(head: Gray, write_dicom: Write, modality: str | None) -> None:
    data = write_dicom(head, Modality=modality, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    with pytest.raises(NotMRError, match="only MR is classified") as caught:
        reader.read_bytes(data, "here")
    assert caught.value.kind == "not_mr"


@pytest.mark.parametrize("modality", ["MRI", "mr", "mri"])
def test_other_spellings_of_mr(head: Gray, write_dicom: Write, modality: str) -> None:
    # pydicom writes no small letters without a warning.
    written = modality.upper().ljust(len(modality) + len(modality) % 2).encode()
    data = write_dicom(head, Modality=modality.upper())
    assert data.count(b"CS" + bytes([len(written), 0]) + written) == 1
    stated = modality.ljust(len(written)).encode()
    image = reader.read_bytes(data.replace(b"\0" + written, b"\0" + stated, 1))
    np.testing.assert_array_equal(image.pixels, head)
    assert image.notes == ()


def test_mr_storage_without_a_modality_is_mr(head: Gray, write_dicom: Write) -> None:
    found = facts(write_dicom(head, Modality=None))
    assert (found.modality, found.notes) == ("MR", ())
    with pytest.raises(NotMRError):
        facts(write_dicom(head, Modality=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.481.1"))


@pytest.mark.parametrize(
    ("modality", "kind"),
    [(modality, kind) for modality in ("OT", "SC", None) for kind in ("7", "7.2")]
    + [("OT", "4"), ("SC", "4")],  # without a modality, storage as MR is MR
)
def test_a_capture_that_states_no_other_modality_is_taken_for_mr(
    head: Gray, write_dicom: Write, modality: str | None, kind: str
) -> None:
    data = write_dicom(head, Modality=modality, SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{kind}")
    image = reader.read_bytes(data)
    np.testing.assert_array_equal(image.pixels, head)
    assert ["does not state that it is MR" in note for note in image.notes] == [True]


@pytest.mark.parametrize(("modality", "kind", "outcome"), rows("kinds"))
def test_only_mr_images_are_answered_whatever_else_has_rows_and_columns(
    head: Gray, write_dicom: Write, modality: str, kind: str, outcome: str
) -> None:
    """Spectra, raw data, segmentations, parametric maps, doses, presentation states."""
    data = write_dicom(head, Modality=modality, SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{kind}")
    refusals = {
        "no image": (UnsupportedFormatError, "DICOM without an image"),
        "not MR": (NotMRError, "only MR is classified"),
    }
    if outcome in refusals:
        error, words = refusals[outcome]
        with pytest.raises(error, match=words):
            reader.read_bytes(data)
        return
    notes = reader.read_bytes(data).notes
    assert ["does not state that it is MR" in note for note in notes] == [True] * (
        outcome == "noted"
    )


@pytest.mark.parametrize("name", ["reportsi.dcm", "rtplan.dcm", "DICOMDIR", "waveform_ecg.dcm"])
def test_objects_without_an_image(name: str) -> None:
    path = get_testdata_file(name, download=False)
    assert path is not None
    with pytest.raises(UnsupportedFormatError, match="DICOM without an image") as raised:
        reader.read(str(path))
    assert ("name the folder" in str(raised.value)) == (name == "DICOMDIR")


@pytest.mark.parametrize(("word", "is_told"), rows("image_types"))
def test_maps_and_projections_are_told(
    head: Gray, write_dicom: Write, word: str, is_told: bool
) -> None:
    image = reader.read_bytes(write_dicom(head, ImageType=["DERIVED", "PRIMARY", word]))
    note = f"the image is computed from others ({word}), which the network was not trained on"
    assert image.notes == ((note,) if is_told else ())
    assert image.facts is not None
    assert image.facts.outside_training == is_told


@pytest.mark.parametrize(("kind", "description", "is_told"), rows("descriptions"))
def test_maps_that_only_the_description_names(
    head: Gray, write_dicom: Write, kind: str, description: str, is_told: bool
) -> None:
    data = write_dicom(head, ImageType=[kind, "SECONDARY"], SeriesDescription=description)
    notes = reader.read_bytes(data).notes
    assert ["computed from others" in note for note in notes] == [True] * is_told


@pytest.mark.parametrize(("kind", "description", "is_told"), rows("localizers"))
def test_localizers_are_told(
    head: Gray, write_dicom: Write, kind: str, description: str, is_told: bool
) -> None:
    stated = {"ImageType": ["ORIGINAL", "PRIMARY", kind], "SeriesDescription": description}
    image = reader.read_bytes(write_dicom(head, **stated))
    assert ["is a localizer" in note for note in image.notes] == [True] * is_told
    assert image.facts is not None
    assert image.facts.outside_training == is_told


@pytest.mark.parametrize(("part", "is_told"), rows("body_parts"))
def test_other_parts_of_the_body_are_told(
    head: Gray, write_dicom: Write, part: str, is_told: bool
) -> None:
    image = reader.read_bytes(write_dicom(head, BodyPartExamined=part))
    note = f"the file states another part of the body ({part})"
    assert image.notes == ((note,) if is_told else ())
    assert image.facts is not None
    assert image.facts.outside_training == is_told


@pytest.mark.parametrize(("keyword", "words", "named"), rows("described_parts"))
@pytest.mark.parametrize("stated", ["", "HEAD"])
def test_parts_of_the_body_that_only_a_description_names(
    head: Gray, write_dicom: Write, keyword: str, words: str, named: str, stated: str
) -> None:
    image = reader.read_bytes(write_dicom(head, BodyPartExamined=stated, **{keyword: words}))
    is_told = bool(named) and not stated
    note = f"the file states another part of the body ({named})"
    assert image.notes == ((note,) if is_told else ())
    assert image.facts is not None
    assert (image.facts.outside_training, image.facts.body_part) == (is_told, stated or None)


def test_the_nearest_description_names_the_part(head: Gray, write_dicom: Write) -> None:
    tags = {"StudyDescription": "Brain and C-Spine", "SeriesDescription": "sag T2 C-Spine"}
    assert "(SPINE)" in reader.read_bytes(write_dicom(head, **tags)).notes[0]
    tags = {"StudyDescription": "C-Spine", "SeriesDescription": "ax FLAIR brain"}
    assert reader.read_bytes(write_dicom(head, **tags)).notes == ()


@pytest.mark.parametrize(("words", "named"), [("Épaule droite", "EPAULE"), ("Schädel, HWS", "")])
def test_words_with_accents(head: Gray, write_dicom: Write, words: str, named: str) -> None:
    data = write_dicom(head, SpecificCharacterSet="ISO_IR 192", StudyDescription=words)
    assert [f"({named})" in note for note in reader.read_bytes(data).notes] == [True] * bool(named)


def test_calibrations_are_told(head: Gray, write_dicom: Write) -> None:
    image = reader.read_bytes(write_dicom(head, SeriesDescription="ASSET Calibration"))
    assert image.notes == ("the image is a calibration, which the network was not trained on",)
    assert image.facts is not None
    assert image.facts.outside_training


@pytest.mark.parametrize(("of", "known"), [
    ("image_types", subject._COMPUTED), ("descriptions", subject._NAMES),
    ("localizers", subject._LOCALIZERS), ("body_parts", subject._ELSEWHERE),
])  # fmt: skip
def test_the_page_is_asked_about_every_word_that_is_recognised(
    of: str, known: frozenset[str]
) -> None:
    asked = [cell.upper() for row in rows(of) if row[-1] for cell in row[:-1]]
    words = {word for cell in asked for word in subject._WORD.findall(cell)}
    assert known <= words | {re.sub("[^A-Z0-9]", "", cell) for cell in asked}


@pytest.mark.parametrize(("tag", "value", "note"), [
    ("PatientSpeciesDescription", "Canis familiaris", "states another species (Canis familiaris)"),
    ("PatientSpeciesDescription", "Homo sapiens", None), ("PatientSpeciesDescription", "", None),
    ("QualityControlImage", "YES",
     "states that it is a quality control image, such as one of a phantom"),
    ("QualityControlImage", "NO", None),
    ("ImagedNucleus", "23NA", "states another nucleus than that of hydrogen (23NA)"),
    ("ResonantNucleus", "31P", "states another nucleus than that of hydrogen (31P)"),
    ("ImagedNucleus", "1H", None), ("ImagedNucleus", "Proton", None),
])  # fmt: skip
def test_animals_and_phantoms_are_told(
    head: Gray, write_dicom: Write, tag: str, value: str, note: str | None
) -> None:
    image = reader.read_bytes(write_dicom(head, **{tag: value}))
    assert image.notes == (() if note is None else (f"the file {note}",))
    assert image.facts is not None
    assert image.facts.outside_training == (note is not None)


def test_the_code_of_a_part_of_the_body(head: Gray, write_dicom: Write) -> None:
    code = Dataset()
    code.CodeMeaning = "Knee"
    image = reader.read_bytes(write_dicom(head, AnatomicRegionSequence=[code]))
    assert image.notes == ("the file states another part of the body (Knee)",)


def test_the_code_of_a_species(head: Gray, write_dicom: Write) -> None:
    code = Dataset()
    code.CodeMeaning = "Mus musculus"
    image = reader.read_bytes(write_dicom(head, PatientSpeciesCodeSequence=[code]))
    assert image.notes == ("the file states another species (Mus musculus)",)


def test_a_file_without_the_preamble(head: Gray, write_dicom: Write) -> None:
    data = write_dicom(head)
    np.testing.assert_array_equal(reader.read_bytes(data[132:]).pixels, head)
    start = data.index(b"\x08\x00\x16\x00UI")
    np.testing.assert_array_equal(reader.read_bytes(data[start:]).pixels, head)


def test_frames_are_sorted_in_space(head: Gray, write_dicom: Write) -> None:
    """Enhanced MR: each frame has its own position, rescale and window (PS3.3 C.7.6.16)."""
    heights = [10.0, -5.0, 0.0, 5.0]
    frames = [
        groups(
            [0, 0, z],
            [1, 0, 0, 0, 1, 0],
            PixelValueTransformationSequence=[item(RescaleSlope=index + 1, RescaleIntercept=z)],
        )
        for index, z in enumerate(heights)
    ]
    shared = item(PixelMeasuresSequence=[item(PixelSpacing=[0.5, 0.5], SliceThickness=5)])
    data = write_dicom(
        np.stack([head] * 4),
        SOPClassUID=ENHANCED,
        PixelSpacing=None,
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
    )
    image = reader.read_bytes(data, "here")
    assert image.pixels.shape == (4, *head.shape)
    for slot, index in enumerate(np.argsort(heights)):
        expected = head.astype(np.float32) * (index + 1) + heights[index]
        np.testing.assert_allclose(image.pixels[slot], expected)
    assert image.pixel_spacing_mm == (0.5, 0.5)
    assert image.facts is not None
    assert [place.frame for place in image.facts.slices] == [2, 3, 4, 1]
    assert [place.along_mm for place in image.facts.slices] == [-5, 0, 5, 10]
    assert image.facts.slice_spacing_mm == 5
    assert image.notes == ()


def test_each_frame_has_its_own_window(head: Gray, write_dicom: Write) -> None:
    frames = [
        groups([0, 0, z], [1, 0, 0, 0, 1, 0],
               FrameVOILUTSequence=[item(WindowCenter=center, WindowWidth=201)])
        for z, center in ((0, 100.5), (5, 150.5))
    ]  # fmt: skip
    data = write_dicom(
        np.stack([head] * 2), SOPClassUID=ENHANCED, PerFrameFunctionalGroupsSequence=frames
    )
    low, high = reader.read_bytes(data).pixels
    np.testing.assert_allclose(low, np.clip(head / 200, 0, 1), atol=1e-6)
    np.testing.assert_allclose(high, np.clip((head - 50.0) / 200, 0, 1), atol=1e-6)


def test_frames_that_do_not_say_where_they_lie_keep_their_order(
    head: Gray, write_dicom: Write
) -> None:
    stack = np.stack([head, head // 2, head // 3])
    image = reader.read_bytes(write_dicom(stack))
    np.testing.assert_array_equal(image.pixels, stack)
    assert "not stated" in image.notes[0]


def test_the_largest_stack_of_a_localizer_is_read(head: Gray, write_dicom: Write) -> None:
    axes = [[1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]]
    frames = [groups([0, y, 0], axis) for y, axis in zip((0, 9, 3, 0), axes, strict=True)]
    data = write_dicom(
        np.stack([head, head // 2, head // 3, head]),
        SOPClassUID=ENHANCED,
        PerFrameFunctionalGroupsSequence=frames,
    )
    image = reader.read_bytes(data)
    np.testing.assert_array_equal(image.pixels, [head // 3, head // 2])
    assert image.facts is not None
    assert image.facts.plane == "coronal"
    assert image.notes == ("2 frames of another orientation, size or component are left out",)


def test_groups_that_do_not_match_the_frames_are_corrupt(head: Gray, write_dicom: Write) -> None:
    frames = [groups([0, 0, 0], [1, 0, 0, 0, 1, 0])]
    data = write_dicom(np.stack([head] * 2), PerFrameFunctionalGroupsSequence=frames)
    with pytest.raises(CorruptInputError, match="1 functional groups for 2 frames"):
        reader.read_bytes(data)


@pytest.mark.parametrize("tags", [{"FrameTime": 100}, {"FrameTimeVector": [0, 100]}])
def test_frames_that_are_points_in_time_are_told(
    head: Gray, write_dicom: Write, tags: dict[str, Any]
) -> None:
    assert reader.read_bytes(write_dicom(np.stack([head] * 2), **tags)).notes[0] == (
        "the frames of the file are points in time, as it states; they are read as slices"
    )
    assert reader.read_bytes(write_dicom(head, **tags)).notes == ()


def test_one_of_several_files_of_an_image_is_told(head: Gray, write_dicom: Write) -> None:
    image = reader.read_bytes(write_dicom(head, InConcatenationTotalNumber=3))
    assert image.notes == (
        "the file is one of 3 that the image is divided into; the others are not read",
    )


@pytest.mark.parametrize("count", ["0", "-3"])
def test_frame_counts_below_one_are_not_used(head: Gray, write_dicom: Write, count: str) -> None:
    image = reader.read_bytes(write_dicom(head, NumberOfFrames=count))
    np.testing.assert_array_equal(image.pixels, head)
    assert image.notes == ("the file's number of frames is not plausible and is not used",)


@pytest.mark.parametrize(
    ("keyword", "stored", "odd"),
    [
        ("InstanceNumber", 12345, b"1.5  "),
        ("AcquisitionNumber", 12345, b"2,5  "),
        ("EchoNumbers", 12345, b"1.0  "),
        ("SeriesNumber", 12345, b"3.0  "),
        ("EchoTime", "12345", b"ab cd"),
        ("FlipAngle", "12345", b"9,0  "),
        ("SliceThickness", "12345", b"nan  "),
        ("SpacingBetweenSlices", "12345", b"?    "),
        ("SliceLocation", "12345", b"-    "),
        ("WindowCenter", "12345", b"x\\y  "),
        ("NumberOfFrames", "12345", b"1.5  "),
        ("NumberOfFrames", "12345", b"one  "),
        ("Modality", "12345", b"mr   "),
    ],
)
def test_one_odd_number_does_not_cost_the_file(
    head: Gray, write_dicom: Write, keyword: str, stored: Any, odd: bytes
) -> None:
    data = write_dicom(head, **{keyword: stored}).replace(b"12345", odd)
    np.testing.assert_array_equal(reader.read_bytes(data).pixels, head)


def test_a_value_representation_that_does_not_exist(head: Gray, write_dicom: Write) -> None:
    data = write_dicom(head, InstanceNumber=12345, EchoTime="7.25")
    for keyword in (b"\x20\x00\x13\x00IS", b"\x18\x00\x81\x00DS"):
        assert keyword in data
        data = data.replace(keyword, keyword[:4] + b"ZZ")
    np.testing.assert_array_equal(reader.read_bytes(data).pixels, head)


def test_a_mosaic_of_slices_is_refused(head: Gray, write_dicom: Write) -> None:
    data = write_dicom(head, ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    with pytest.raises(UnsupportedFormatError, match="mosaic of many slices"):
        reader.read_bytes(data)


def test_a_mosaic_that_only_the_number_of_its_images_tells_is_refused(
    head: Gray, write_dicom: Write
) -> None:
    dataset = pydicom.dcmread(io.BytesIO(write_dicom(head)))
    dataset.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 36)
    out = io.BytesIO()
    dataset.save_as(out)
    with pytest.raises(UnsupportedFormatError, match="mosaic of many slices"):
        reader.read_bytes(out.getvalue())


def test_commas_are_decimal_points(head: Gray, write_dicom: Write) -> None:
    data = write_dicom(head, RescaleIntercept="77.5", RescaleSlope="2.5", PixelSpacing=[1.5, 1.5])
    image = reader.read_bytes(
        data.replace(b"77.5", b"77,5").replace(b"2.5 ", b"2,5 ").replace(b"1.5\\1.5 ", b"1,5\\1,5 ")
    )
    np.testing.assert_allclose(image.pixels, head * 2.5 + 77.5)
    assert (image.pixel_spacing_mm, image.notes) == ((1.5, 1.5), ())


@pytest.mark.parametrize("wrap", [zlib.compress, gzip.compress, bytes])
def test_a_deflated_data_set_with_a_header_or_not_deflated_at_all(
    head: Gray, write_dicom: Write, wrap: Callable[[bytes], bytes]
) -> None:
    data = write_dicom(head, syntax=DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(data[140:144], "little")  # behind the file meta information
    plain = zlib.decompress(data[start:], -zlib.MAX_WBITS)
    np.testing.assert_array_equal(reader.read_bytes(data[:start] + wrap(plain)).pixels, head)


@pytest.mark.parametrize("count", [None, "0", "1"])
@pytest.mark.parametrize("compressed", [False, True])
def test_more_frames_than_are_stated_are_noted(
    head: Gray, write_dicom: Write, count: str | None, compressed: bool
) -> None:
    stored = encapsulate([encode.jpeg(head)] * 3) if compressed else head.tobytes() * 3
    syntax = JPEGBaseline8Bit if compressed else ExplicitVRLittleEndian
    image = reader.read_bytes(
        write_dicom(head, syntax=syntax, PixelData=stored, NumberOfFrames=count)
    )
    assert image.pixels.shape == head.shape
    assert "more frames than the file states" in image.notes[-1]


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_samples_of_more_bits_than_stated_are_refused(
    head: Gray, write_dicom: Write, order: str
) -> None:
    wide = (head.astype(np.uint16) * 12).astype(order)
    with pytest.raises(CorruptInputError, match="its samples have 16 bits, not 8"):
        reader.read_bytes(write_dicom(head, PixelData=wide.tobytes()))


@pytest.mark.parametrize("spacing", [[0.001, 0.001], [250, 250], [0, 1], [-1, -1]])
def test_spacing_that_no_head_can_have(
    head: Gray, write_dicom: Write, spacing: list[float]
) -> None:
    image = reader.read_bytes(write_dicom(head, PixelSpacing=spacing))
    assert image.pixel_spacing_mm is None
    assert ["mm are not plausible" in note for note in image.notes] == [True]


def test_a_file_that_claims_60000_frames(head: Gray, write_dicom: Write) -> None:
    with pytest.raises(LimitExceededError, match="claims 60000 frames"):
        reader.read_bytes(write_dicom(head, NumberOfFrames=60_000))


@pytest.mark.parametrize("orientation", [
    [0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0], [float("inf"), 0, 0, 0, 1, 0], [1, 0, 0], None,
])  # fmt: skip
def test_orientations_that_make_no_sense_are_not_used(
    head: Gray, write_dicom: Write, orientation: list[float] | None
) -> None:
    if orientation and not np.isfinite(orientation).all():
        data = write_dicom(head, ImageOrientationPatient=[9, 0, 0, 0, 1, 0])
    else:
        data = write_dicom(head, ImageOrientationPatient=orientation)
    found = facts(data)
    assert (found.plane, found.slices[0].position_mm) == (None, None)


def test_odd_values_are_not_quoted_in_a_log(
    head: Gray, write_dicom: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """pydicom warns of them by quoting them; they may be a patient's name."""
    data = write_dicom(head, SOPInstanceUID="1.2.3.4567")
    with caplog.at_level(logging.DEBUG):
        found = facts(data.replace(b"1.2.3.4567", b"Doe^Jane^X"))
    assert found.slices[0].sop_instance_uid == "Doe^Jane^X"
    assert caplog.records == []


@pytest.mark.parametrize(("between", "thickness"), [(-5, 4), (0, 4), (None, 4), (6, 6)])
def test_a_distance_of_slices_that_makes_no_sense_leaves_their_thickness(
    head: Gray, write_dicom: Write, between: int | None, thickness: int
) -> None:
    data = write_dicom(head, SpacingBetweenSlices=between, SliceThickness=4)
    header = header_of(parse(data, "a"), "a", "a")
    assert header.frames[0].thickness_mm == thickness
