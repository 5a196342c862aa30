"""The attention map lies on the image's own voxels, as NIfTI and as DICOM Segmentation."""

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import UID
from tests.answers import volume
from tests.phantom_series import SPACING, phantom_series

from tumorlens.cli.extras import AttentionMaps
from tumorlens.demo.phantoms import Patient
from tumorlens.errors import InputError
from tumorlens.imaging import reader
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.raster import encode
from tumorlens.imaging.study import read_study
from tumorlens.imaging.volumes.nifti_mask import as_nifti
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import VolumePrediction
from tumorlens.inference.volume import answer_image
from tumorlens.reporting.attention_map import as_dicom, attention_mask


@pytest.fixture(scope="module")
def knows_phantoms() -> Classifier:
    return Classifier.load("phantom", threads=1)


def head(write_dicom: Callable[..., bytes], folder: Path, label: str) -> MedicalImage:
    for index, data in enumerate(phantom_series(write_dicom, label)):
        (folder / f"{index}.dcm").write_bytes(data)
    (image,) = read_study(folder).images
    return image


def test_it_is_written_where_the_tumour_is(
    knows_phantoms: Classifier, write_dicom: Callable[..., bytes], tmp_path: Path
) -> None:
    image = head(write_dicom, tmp_path, "glioma")
    answered = answer_image(knows_phantoms, image)
    answer = answered.answer
    assert isinstance(answer, VolumePrediction)
    assert answer.finding is not None
    mask = attention_mask(answered)
    assert mask is not None
    used = np.flatnonzero(mask.any(axis=(1, 2)))
    assert answer.finding.first <= used.min() <= used.max() <= answer.finding.last
    out = tmp_path / "out"
    AttentionMaps(out).observe(answered)
    (volume,) = out.glob("*.nii.gz")
    loaded = nib.nifti1.Nifti1Image.from_filename(volume)
    np.testing.assert_array_equal(np.asarray(loaded.dataobj), mask.transpose(2, 1, 0))
    place = loaded.affine @ [3, 5, 2, 1]
    np.testing.assert_allclose(place[:3], [90 - 3, 100 - 5, 2 * SPACING])
    assert b"no outline" in bytes(loaded.header["descrip"])
    (file,) = out.glob("*.dcm")
    found = dcmread(file)
    assert found.Modality == "SEG"
    assert found.NumberOfFrames == len(used)
    assert found.SegmentSequence[0].SegmentLabel == "Attention map, no outline"
    assert found.pixel_array.astype(bool).sum() == mask.sum()
    if shutil.which("dciodvfy"):
        told = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
        assert "Error" not in told.stderr, told.stderr


def test_images_of_a_makers_own_class_are_referred_to_as_such(
    knows_phantoms: Classifier, write_dicom: Callable[..., bytes], tmp_path: Path
) -> None:
    own = UID("1.3.46.670589.5.0.10")
    head(write_dicom, tmp_path, "glioma")
    for file in tmp_path.glob("*.dcm"):
        dataset = dcmread(file)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = own
        dataset.save_as(file)
    (image,) = read_study(tmp_path).images
    AttentionMaps(tmp_path / "out").observe(answer_image(knows_phantoms, image))
    (made,) = (tmp_path / "out").glob("*.dcm")
    referred = [
        item.ReferencedSOPClassUID
        for item in dcmread(made).ReferencedSeriesSequence[0].ReferencedInstanceSequence
    ]
    assert set(referred) == {own}


@pytest.mark.parametrize(
    ("axes", "spacing", "corner", "change"),
    [
        ([1, 0, 0, 0, -1, 0], [1, 1], (0, 1), lambda pixels: pixels[::-1]),
        ([0, 1, 0, 1, 0, 0], [1, 1], (0, 0), lambda pixels: pixels.T),
        ([-1, 0, 0, 0, -1, 0], [1, 1], (1, 1), lambda pixels: pixels[::-1, ::-1]),
        ([1, 0, 0, 0, 1, 0], [2, 1], (0, 0), lambda pixels: pixels[::2]),
        ([0, 1, 0, 1, 0, 0], [1, 2], (0, 0), lambda pixels: pixels[::2].T),
    ],
)
def test_it_lies_on_the_stored_pixels_of_slices_that_were_turned_or_resampled(
    write_dicom: Callable[..., bytes], tmp_path: Path, axes: list[float], spacing: list[float],
    corner: tuple[int, int], change: Callable[[NDArray[np.uint16]], NDArray[np.uint16]],
) -> None:  # fmt: skip
    """Slices are not evenly spaced, and the mask is of what is bright in each."""
    stored = {}
    for index, data in enumerate(phantom_series(write_dicom, "glioma")):
        pixels = dcmread(io.BytesIO(data)).pixel_array
        side = np.array(pixels.shape[::-1]) - 1
        stored[f"1.2.9.{index}"] = np.ascontiguousarray(change(pixels)) + 100 * index
        place = [
            *(np.array([-90, -100]) + np.array(corner) * side),
            [0, 9, 15][index % 3] + 30 * index,
        ]
        written = write_dicom(
            stored[f"1.2.9.{index}"], SeriesInstanceUID="1.2.9", SOPInstanceUID=f"1.2.9.{index}",
            ImagePositionPatient=[float(at) for at in place], ImageOrientationPatient=axes,
            PixelSpacing=spacing, FrameOfReferenceUID="1.2.8",
        )  # fmt: skip
        (tmp_path / f"{index}.dcm").write_bytes(written)
    (image,) = read_study(tmp_path).images
    levels = image.pixels.min(axis=(1, 2), keepdims=True) + 60
    segmentation = as_dicom(image.pixels > levels, image, volume())
    found = dcmread(io.BytesIO(segmentation.data))
    assert found.NumberOfFrames == len(stored)
    for frame, facts in zip(found.pixel_array, found.PerFrameFunctionalGroupsSequence, strict=True):
        source = facts.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        expected = stored[source] > int(stored[source].min()) + 60
        agreeing = (frame.astype(bool) == expected).mean()
        assert agreeing == 1 if spacing == [1, 1] else agreeing > 0.95


def test_there_is_none_without_a_tumour_or_a_place(
    knows_phantoms: Classifier, write_dicom: Callable[..., bytes], tmp_path: Path
) -> None:
    image = head(write_dicom, tmp_path, "notumor")
    out = tmp_path / "out"
    AttentionMaps(out).observe(answer_image(knows_phantoms, image))
    assert list(out.iterdir()) == []
    rng = np.random.default_rng([3, 0])
    plain = reader.read_bytes(
        encode.png(Patient.draw(rng, "glioma").slice(rng, 0.0).pixels), "a.png"
    )
    with pytest.raises(InputError, match="position"):
        AttentionMaps(out).observe(answer_image(knows_phantoms, plain))
    with pytest.raises(InputError, match="the positions of its slices"):
        as_nifti(np.ones((1, 4, 4), np.bool_), plain)
