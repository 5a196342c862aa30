"""The command; see the package."""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import experiments.peers as package
from experiments.peers import contenders, keeping, packages, scoring
from experiments.peers.contenders import Contender

from tumorlens.cores import processor
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.evaluation.resampling import Sampling

_ROOT: Final = Path(__file__).resolve().parents[2]
_OUTPUT: Final = Path("experiments/records/peers.json")
_SPLITS: Final = ("clean", "folder")
_OURS: Final = ("small", "default", "folder")
"""Which of ours the others are held against: the first that is there."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Install or score."""
    options = _parser().parse_args(arguments)
    {"install": _install, "score": _score}[options.what](options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(package.__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="what", required=True)
    install = commands.add_parser("install", help="make the environments of the packages")
    install.add_argument("--environments", type=Path, required=True)
    score = commands.add_parser("score", help="score all that there is")
    score.add_argument("--data", type=Path, required=True, help="manifest of the 7,023 images")
    score.add_argument("--part", choices=["test", "validation"], required=True)
    score.add_argument("--split", choices=_SPLITS, action="append", help="default: both")
    score.add_argument("--runs", type=Path, help="folder of runs of `tumorlens train`")
    score.add_argument("--bundle", action="append", default=[],
                       help="further bundles, beside `default` and `folder`")  # fmt: skip
    score.add_argument("--environments", type=Path, help="where `install` put the packages")
    score.add_argument("--ours", action="append",
                       help=f"name of the bundle the others are held against; of several the "
                       f"first that is there; default: {', '.join(_OURS)}")  # fmt: skip
    score.add_argument("--corruption-images", type=int, default=300)
    score.add_argument("--package-corruption-images", type=int, default=20)
    score.add_argument("--latency-images", type=int, default=8)
    score.add_argument("--resamples", type=int, default=2000)
    score.add_argument("--output", type=Path, default=_OUTPUT)
    score.add_argument("--keep", action="store_true",
                       help="leave what stands in --output and is not scored now; against the "
                       "same network of ours only")  # fmt: skip
    return parser


def _install(options: argparse.Namespace) -> None:
    packages.install(options.environments)


def _score(options: argparse.Namespace) -> None:
    manifest = Manifest.load(options.data)
    plan = scoring.Plan(
        options.part,
        options.corruption_images,
        options.package_corruption_images,
        options.latency_images,
        Sampling(options.resamples, 0),
    )
    with contenders.of_packages(options.environments) as others:
        tables = [
            _table(options, split, manifest, others, plan) for split in options.split or _SPLITS
        ]
    record = {
        "benchmark": "peers",
        "commands": [_command(options)],
        "part": options.part,
        "processor": processor(),
        "splits": tables,
    }
    if options.keep and options.output.exists():
        record = keeping.keep(record, json.loads(options.output.read_text(encoding="utf-8")))
    options.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if options.output.resolve() == _ROOT / _OUTPUT:
        subprocess.run([sys.executable, str(_ROOT / "scripts" / "documents.py")], check=True)


def _table(
    options: argparse.Namespace,
    split: str,
    manifest: Manifest,
    others: Sequence[Contender],
    plan: scoring.Plan,
) -> dict[str, Any]:
    own = contenders.of_split(split, options.runs, ["default", "folder", *options.bundle])
    wanted = options.ours or _OURS
    present = {contender.name for contender in own}
    ours = next((name for name in wanted if name in present), wanted[0])
    return scoring.score(splits.load(split), manifest, [*own, *others], ours, plan)


def _command(options: argparse.Namespace) -> str:
    """What was run, without folders of this machine: of these only the name."""
    words = ["python", "-m", "experiments.peers", "score"]
    for name, value in vars(options).items():
        if name in {"what", "output"} or value is None or value is False:
            continue
        if value is True:
            words.append(f"--{name.replace('_', '-')}")
            continue
        for argument in value if isinstance(value, list) else [value]:
            word = (
                Path(argument).name
                if isinstance(argument, Path) or "/" in str(argument)
                else str(argument)
            )
            words += [f"--{name.replace('_', '-')}", word]
    return shlex.join(words)


if __name__ == "__main__":
    main()
