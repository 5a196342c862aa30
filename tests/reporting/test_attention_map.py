"""The attention map lies on the image's own voxels, as NIfTI and as DICOM Segmentation."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import UID
from tests.phantom_series import SPACING, phantom_series

from tumorlens.cli.extras import AttentionMaps
from tumorlens.demo.phantoms import Patient
from tumorlens.errors import InputError
from tumorlens.imaging import encode, reader
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.nifti_mask import as_nifti
from tumorlens.imaging.study import read_study
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import VolumePrediction
from tumorlens.inference.volume import answer_image
from tumorlens.reporting.attention_map import attention_mask


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
