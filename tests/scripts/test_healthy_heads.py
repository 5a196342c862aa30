import runpy
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "scripts" / "healthy_heads.py"


def test_slices_stand_upright_in_three_planes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, z = np.mgrid[:60, :70, :50]
    inside = ((x - 30) / 28) ** 2 + ((y - 35) / 33) ** 2 + ((z - 25) / 23) ** 2 < 1
    # Brighter towards the right, the front and the crown.
    head = np.where(inside, 100 + x + y + z, 0).astype(np.float32)
    # Stored turned by its affine: the first axis runs to the patient's left.
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(head[::-1].copy(), affine), tmp_path / "one.nii.gz")
    monkeypatch.setattr(
        sys, "argv", ["x", str(tmp_path / "one.nii.gz"), "--output", str(tmp_path / "out")]
    )
    runpy.run_path(str(SCRIPT), run_name="__main__")
    files = sorted((tmp_path / "out" / "notumor").glob("*.png"))
    planes = [file.name.split("_")[1] for file in files]
    assert {plane: planes.count(plane) for plane in planes} == {
        "axial": 16, "coronal": 16, "sagittal": 16
    }  # fmt: skip
    shapes = {"axial": (70, 60), "coronal": (50, 60), "sagittal": (50, 70)}
    for file, plane in zip(files, planes, strict=True):
        picture = np.asarray(Image.open(file), dtype=np.float64)
        assert picture.shape == shapes[plane]
        rows, columns = np.nonzero(picture)
        upper = rows < np.median(rows)
        values = picture[rows, columns]
        assert values[upper].mean() > values[~upper].mean()
