r"""What it costs to train without sources that forbid commercial use or state no licence.

    python -m experiments.licences --extra diverse.csv diverse --extra more.csv more \
        --bundle without-teachers --output experiments/records/licences.json

The bundle `open` was trained without them, `default` and the further bundles (here `default`
without teachers, which `open` has not either) with them. All answer the validation images of the
sources that `open` left out, and of those that it kept. `open` also answers all images of the
families of which it kept no source: hospitals that it has never seen. No test part is read.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks import options as option_parser
from experiments.held_out_families import Answers, summarize

from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import TEST, VALIDATION
from tumorlens.inference.classifier import Classifier
from tumorlens.training.images import usable

_OUTPUT: Final = Path("experiments/records/licences.json")
_BUNDLES: Final = ["default", "open"]
Choice = Callable[[Record, str], bool]
"""Whether an image of this part takes part."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Answer and count; write the record."""
    parser = option_parser.parser(__doc__, cache=True, output=_OUTPUT)
    parser.add_argument("--extra", nargs=2, action="append", required=True,
                        metavar=("MANIFEST", "SPLIT"), help="as of `tumorlens train`")  # fmt: skip
    parser.add_argument("--bundle", action="append", default=[], help="a further network")
    options = parser.parse_args(arguments)
    names = [*_BUNDLES, *options.bundle]
    networks = {name: Classifier.load(name, 1, answer_all=True) for name in names}
    sets = [(Manifest.load(path), part) for path, part in options.extra]
    left_out = set(networks["open"].bundle.info.training["held_out_sources"])
    kept_families = {
        r.family for manifest, _ in sets for r in manifest if usable(r) and r.source not in left_out
    }
    groups: dict[str, tuple[Sequence[str], Choice]] = {
        "left out": (names, lambda r, part: part == VALIDATION and r.source in left_out),
        "kept": (names, lambda r, part: part == VALIDATION and r.source not in left_out),
        "unseen families": (
            ("open",),
            lambda r, part: part != TEST and r.source in left_out and r.family not in kept_families,
        ),
    }
    rows: list[dict[str, object]] = []
    for group, (asked, takes_part) in groups.items():
        chosen = _chosen(sets, takes_part)
        for name in asked:
            answers = Answers.collect(networks[name], chosen, options.cache)
            rows += [{"images": group, "bundle": name, **row} for row in summarize(answers)]
    record = {"left_out": sorted(left_out), "rows": rows}
    option_parser.save(options.output, record)


def _chosen(
    sets: Sequence[tuple[Manifest, str]], takes_part: Choice
) -> list[tuple[Manifest, list[int]]]:
    return [
        (
            manifest,
            [
                i
                for i, (record, part) in enumerate(
                    zip(manifest, splits.load(split).parts(manifest), strict=True)
                )
                if usable(record) and takes_part(record, part)
            ],
        )
        for manifest, split in sets
    ]


if __name__ == "__main__":
    main()
