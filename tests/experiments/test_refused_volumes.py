"""Volumes without a head are cut as a viewer would show them."""

from pathlib import Path

import nibabel
import numpy as np

from experiments import refusal


def _volume(path: Path, lowest: float) -> Path:
    voxels = np.random.default_rng(0).uniform(0, 400, (40, 48, 20)).astype(np.float32)
    voxels[0, 0, 0] = lowest
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    return path


def test_a_volume_is_cut_where_its_slices_are_large_enough(tmp_path: Path) -> None:
    found = dict(refusal._slices([_volume(tmp_path / "mr.nii", 0)]))
    assert [pixels.shape for pixels in found.values()] == [(48, 40)] * len(refusal._DEPTHS)
    assert all(pixels.dtype == np.uint8 for pixels in found.values())


def test_a_ct_is_shown_in_two_windows(tmp_path: Path) -> None:
    found = dict(refusal._slices([_volume(tmp_path / "ct.nii", -1000)]))
    assert len(found) == 2 * len(refusal._DEPTHS)
    narrow = [pixels for name, pixels in found.items() if name.endswith("-160..240")]
    assert all((pixels == 255).mean() > 0.3 for pixels in narrow)  # above the window is white
