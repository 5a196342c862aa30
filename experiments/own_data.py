r"""Three data sets as users have them: from folders to evaluated networks in three commands.

    python -m experiments.own_data --nickparvar nickparvar.csv --more more.csv --work runs/own-data

The folders are copies of images at hand, one for each class and in it one for each patient:

- `yes` and `no`: slices of TCGA-LGG with glioma and without, of the same patients;
- three kinds of tumour and no class without: Cheng's;
- six classes: with glioma and without, in T1, contrast-enhanced T1 and FLAIR, of TCGA-LGG and
  TCGA-GBM.

The commands are those of the documentation: import, split into folds by patient, train on every
fold and score all images. Written is experiments/records/own_data.json: macro F1 and accuracy of
all images, each scored by the network that did not see its patient, with intervals over patients,
and how long the three commands took.
"""

import json
import math
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from benchmarks import options as option_parser
from rich.console import Console

from tumorlens.datasets.manifest import Manifest, Record

_OUTPUT: Final = Path("experiments/records/own_data.json")
_OVERRIDES: Final = ("preprocess.image_size=96", "distillation_weight=0", "extra_share=0")
"""The recipe `default` at a small size, without teachers and further images."""
_OF_A_PATIENT: Final = 6
"""At most as many images of a patient in each class: many patients, not many slices."""
_SEQUENCES: Final = ("T1", "T1CE", "FLAIR")


class OwnData(NamedTuple):
    """A data set to be made."""

    name: str
    manifest: str
    class_of: Callable[[Record], str | None]
    """The folder of an image; None for one that does not take part."""
    images: int
    """At most, of each class."""
    folds: int
    epochs: int


def yes_or_no(record: Record) -> str | None:
    """`yes` where TCGA-LGG's slice shows the tumour."""
    if record.source != "tcga_lgg_110":
        return None
    return "no" if record.label == "notumor" else "yes"


def kind_of_cheng(record: Record) -> str | None:
    """The kind of the tumour."""
    return record.label if record.source == "cheng" else None


def kind_and_sequence(record: Record) -> str | None:
    """As `glioma_T1CE`."""
    if record.source not in ("tcga_lgg_110", "tcga_gbm_skull"):
        return None
    if record.label not in ("glioma", "notumor") or record.sequence not in _SEQUENCES:
        return None
    return f"{record.label}_{record.sequence}"


DATA_SETS: Final = (
    OwnData("two classes, yes and no", "more", yes_or_no, 600, folds=3, epochs=48),
    OwnData("three tumours", "nickparvar", kind_of_cheng, 400, folds=3, epochs=48),
    OwnData("six classes", "more", kind_and_sequence, 250, folds=3, epochs=48),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the folders, run the commands, write the record."""
    parser = option_parser.parser(__doc__, output=_OUTPUT)
    for name in ("nickparvar", "more"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="manifest")
    parser.add_argument("--work", type=Path, required=True, help="folder for images and runs")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    rows = []
    for own in DATA_SETS:
        manifest = Manifest.load(getattr(options, own.manifest))
        folder = options.work / own.name.replace(",", "").replace(" ", "-")
        _copy(own, manifest, folder / "images")
        rows.append(_measured(own, folder, options.threads))
        record = {"threads": options.threads, "overrides": _OVERRIDES, "data_sets": rows}
        option_parser.save(options.output, record)
    option_parser.print_rows("own data", [_printed(row) for row in rows])


def chosen(own: OwnData, manifest: Manifest) -> Iterator[tuple[str, str, Path]]:
    """Class, patient and file of what takes part: patients in random order, a few images each."""
    by_class: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for record in manifest:
        label = own.class_of(record)
        if label is not None:
            by_class[label][record.unit].append(manifest.file(record))
    for label, patients in sorted(by_class.items()):
        names = np.random.default_rng(0).permutation(sorted(patients))
        count = 0
        for patient in names:
            paths = patients[patient]
            sampled = paths[:: math.ceil(len(paths) / _OF_A_PATIENT)]
            count += len(sampled)
            if count > own.images:
                break
            yield from ((label, str(patient), path) for path in sampled)


def _copy(own: OwnData, manifest: Manifest, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for label, patient, path in chosen(own, manifest):
        target = folder / label / patient.replace("/", "_")
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / path.name)


def commands(own: OwnData, threads: int) -> list[list[str]]:
    """What a user types, in the folder that `images` lies in."""
    changed = [("--set", value) for value in (*_OVERRIDES, f"epochs={own.epochs}")]
    return [
        ["data", "import", "folder", "--from", "images", "--output", "own.csv",
         "--group-from", "folder:1"],
        ["data", "split", "own.csv", "--kfold", str(own.folds), "--output", "own-split.csv"],
        ["train", "default", "--data", "own.csv", "--split", "own-split.csv", "--kfold",
         "--out", "run", "--threads", str(threads), *chain.from_iterable(changed)],
    ]  # fmt: skip


def _measured(own: OwnData, folder: Path, threads: int) -> dict[str, Any]:
    console = Console(stderr=True)
    shutil.rmtree(folder / "run", ignore_errors=True)
    for split in folder.glob("own-split.*"):
        split.unlink()
    start = time.monotonic()
    for words in commands(own, threads):
        console.print(f"[bold]{own.name}[/]: tumorlens {' '.join(words)}")
        subprocess.run([sys.executable, "-m", "tumorlens", *words], cwd=folder, check=True)
    minutes = (time.monotonic() - start) / 60
    report = json.loads((folder / "run" / "report" / "evaluation.json").read_text(encoding="utf-8"))
    return {
        "name": own.name,
        "classes": report["classes"],
        "images": report["n"],
        "patients": report["n_groups"],
        "folds": own.folds,
        "epochs": own.epochs,
        "minutes": round(minutes, 1),
        **{name: report["metrics"][name] for name in ("macro_f1", "accuracy")},
    }


def _printed(row: dict[str, Any]) -> dict[str, Any]:
    f1 = row["macro_f1"]
    return {
        "data set": row["name"], "classes": len(row["classes"]), "images": row["images"],
        "patients": row["patients"], "minutes": row["minutes"],
        "macro F1": f"{f1['value']:.3f} ({f1['low']:.3f} to {f1['high']:.3f})",
    }  # fmt: skip


if __name__ == "__main__":
    main()
