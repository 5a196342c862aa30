"""Fuzz one reader with atheris, guided by coverage of our code and of the libraries' Python.

    python -m tests.fuzz.run dicom --seconds 300

What breaks the contract is written to ``fuzz-findings/`` and ends the run; mend the reader and
put the file into ``tests/fuzz/findings/``, where it stays a test.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tumorlens", "pydicom", "nibabel"]):
    from tests.fuzz.targets import TARGETS

    from tumorlens.imaging.dicom import reader as dicom  # noqa: F401 - as above
    from tumorlens.imaging.raster import pillow  # noqa: F401 - now, not when first used
    from tumorlens.imaging.volumes import mgh, nifti, nrrd  # noqa: F401 - now, not when first used

from tests.fuzz.seeds import seeds


def main() -> None:
    """Run until the time or the number of runs is over, or something is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="0: only --runs counts")
    parser.add_argument("--runs", type=int, default=-1, help="-1: only --seconds counts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    chosen = parser.parse_args()
    chosen.findings.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for index, data in enumerate(seeds(chosen.target)):
            (Path(folder) / f"seed-{index}").write_bytes(data)
        atheris.Setup(
            [
                sys.argv[0], folder, f"-max_total_time={chosen.seconds}", f"-runs={chosen.runs}",
                f"-seed={chosen.seed}", "-timeout=60", "-rss_limit_mb=4096", "-max_len=65536",
                f"-artifact_prefix={chosen.findings}/{chosen.target}-",
            ],
            TARGETS[chosen.target],
        )  # fmt: skip
        atheris.Fuzz()


if __name__ == "__main__":
    main()
