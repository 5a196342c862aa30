"""The memory that the largest allowed inputs take.

    python -m benchmarks.memory --output benchmarks/records/memory.json

Writes each input to a temporary folder and reads it in a separate process, as ``tumorlens pacs``
does before it answers. Reports that process's peak resident memory as Linux counts it (VmHWM of
/proc/self/status), and by how much reading raised it.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks import dicom
from benchmarks import options as shared
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from PIL import Image

from tumorlens.cores import processor
from tumorlens.imaging.limits import MAX_SIDE

_SIDE: Final = 512
"""Side of a volume of ``MAX_VOXELS`` voxels."""
_MIB: Final = 1 << 20
_SPACING_MM: Final = 0.5


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark, or as a worker read one input."""
    parser = shared.parser(__doc__)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        print(json.dumps(read(options.worker)))
        return
    rows = [measure(name, write) for name, write in INPUTS.items()]
    shared.print_rows("memory of the largest inputs", rows)
    results = {"benchmark": "memory", "processor": processor(), "inputs": rows}
    shared.save(options.output, results)


def measure(name: str, write: Callable[[Path], Path]) -> dict[str, Any]:
    """Write an input, and read it in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder))
        files = [path] if path.is_file() else list(path.iterdir())
        command = [sys.executable, "-m", "benchmarks.memory", "--worker", str(path)]
        process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        size = sum(file.stat().st_size for file in files)
        return {"input": name, "file_mib": round(size / _MIB, 1), **json.loads(process.stdout)}


def read(path: Path) -> dict[str, Any]:
    """Read everything at ``path``; say what came out, and the peaks in MiB."""
    # All readers, so that what they import does not count as memory of the input.
    import tumorlens.imaging.dicom.reader
    import tumorlens.imaging.raster.pillow
    import tumorlens.imaging.volumes.nifti  # noqa: F401
    from tumorlens.imaging.study import read_study

    before = shared.peak_mib()
    study = read_study(path)
    for _, error in study.failures:
        raise error
    (image,) = study.images
    return {
        "shape": list(image.pixels.shape),
        "pixels_mib": round(image.pixels.nbytes / _MIB, 1),
        "before_mib": round(before, 1),
        "peak_mib": round(shared.peak_mib(), 1),
        "added_mib": round(shared.peak_mib() - before, 1),
    }


def _slices(count: int, kind: type[np.generic]) -> NDArray[np.generic]:
    """(count, 512, 512), not constant: one noisy slice, repeated and brightened."""
    noise = np.random.default_rng(0).integers(0, 200, (_SIDE, _SIDE))
    slices = np.empty((count, _SIDE, _SIDE), kind)
    for index in range(count):
        slices[index] = noise + index % 50
    return slices


def _series(folder: Path) -> Path:
    for number, pixels in enumerate(_slices(_SIDE, np.uint16), start=1):
        dicom.write(folder / f"{number:03d}", pixels, number=number, slice_mm=_SPACING_MM)
    return folder


def _frames(folder: Path) -> Path:
    # One frame more is beyond 256 MiB.
    dicom.write(folder / "frames", _slices(_SIDE - 1, np.uint16), slice_mm=_SPACING_MM)
    return folder / "frames"


def _nifti(folder: Path) -> Path:
    return _save_nifti(folder / "head.nii", _slices(_SIDE, np.uint8), 1.0)


def _float_nifti(folder: Path) -> Path:
    return _save_nifti(folder / "head.nii.gz", _slices(_SIDE - 1, np.float32), 1.0)


def _oblong_nifti(folder: Path) -> Path:
    """Its pixels are not square: it is resampled, to 460 x 512 x 569."""
    return _save_nifti(folder / "head.nii", _slices(460, np.uint8), 10 / 9)


def _save_nifti(path: Path, voxels: NDArray[np.generic], column_mm: float) -> Path:
    image: Any = Nifti1Image(voxels.T, np.diag([column_mm, 1.0, 1.0, 1.0]), dtype=voxels.dtype)
    data = image.to_bytes()
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)
    return path


def _pages(folder: Path) -> Path:
    first, *others = map(Image.fromarray, _slices(_SIDE, np.uint8))
    first.save(folder / "pages.tif", save_all=True, append_images=others)
    return folder / "pages.tif"


def _gray_png(folder: Path) -> Path:
    return _save_png(folder, np.tile(_slices(1, np.uint16)[0], (16, 16)))


def _color_png(folder: Path) -> Path:
    tile = np.moveaxis(_slices(3, np.uint8), 0, -1)
    return _save_png(folder, np.tile(tile, (16, 16, 1)))


def _save_png(folder: Path, pixels: NDArray[np.generic]) -> Path:
    assert pixels.shape[:2] == (MAX_SIDE, MAX_SIDE)
    Image.fromarray(pixels).save(folder / "image.png", compress_level=1)
    return folder / "image.png"


INPUTS: Final[dict[str, Callable[[Path], Path]]] = {
    "DICOM series, 512 files of 16 bits": _series,
    "DICOM file, 511 frames of 16 bits": _frames,
    "NIfTI, 8 bits": _nifti,
    "NIfTI, 8 bits, pixels not square": _oblong_nifti,
    "NIfTI, float32, gzipped": _float_nifti,
    "TIFF, 512 pages of 8 bits": _pages,
    "PNG, 16 bits": _gray_png,
    "PNG, colour": _color_png,
}


if __name__ == "__main__":
    main()
