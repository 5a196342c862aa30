# ruff: noqa: E501
"""Write docs/results.md, docs/measurements.md, the model card and the README's table.

    python scripts/tables.py            # write
    python scripts/tables.py --check    # fail where a number in the docs is not the recorded one

All of it from the records, which the project's own commands wrote:
experiments/evaluations/NAME.json is
`evaluation.json` of `tumorlens evaluate`, experiments/runs/NAME/run.json is of `tumorlens train`, and
experiments/records/NAME.json of `python -m experiments.NAME --output`, and
benchmarks/records/NAME.json of `python -m benchmarks.NAME --output`.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import card
import goals
import measurements
import peers
import protocols
import trust
from records import DOCS, ROOT, Json, evaluation, load, number, share, table

TWINLESS = "without_twins"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the documents, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(arguments).check
    wanted = {
        **{path: fill(path, blocks) for path, blocks in filled().items()},
        DOCS / "results.md": results_page(),
        DOCS / "measurements.md": measurements.page(),
        DOCS / "model-card.md": card.page(),
    }
    stale = [path for path, text in wanted.items() if _read(path) != text]
    if check and stale:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        sys.exit(f"not what the records say: {names}; run python scripts/tables.py")
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")


def filled() -> dict[Path, dict[str, str]]:
    """Documents written by hand, and what belongs between which of their markers."""
    parameters = f"{evaluation('default')['bundle']['parameters']:,}"
    return {
        ROOT / "README.md": {"table": f"\n{honest_table()}\n", "parameters": parameters},
        DOCS / "limits.md": {"memory": f"\n{measurements.memory_table()}\n"},
    }


def fill(path: Path, blocks: dict[str, str]) -> str:
    """The document with its blocks replaced."""
    text = path.read_text("utf-8")
    for name, block in blocks.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        text = re.sub(f"{start}.*?{end}", f"{start}{block}{end}", text, flags=re.DOTALL)
    return text


def honest_table() -> str:
    """Both protocols and both controls, side by side."""
    folder, clean = evaluation(protocols.FOLDER_SEEDS[0]), evaluation("default")
    twinless = folder["subsets"][TWINLESS]
    columns = (folder, twinless, clean)
    paper = folder["paper"]
    rows: list[tuple[str, ...]] = [
        ("", "`folder`: the literature's protocol", "the same, without the test images that have "
         "a pixel-identical twin in training", "`clean`: no patient crosses"),
        ("---", "---:", "---:", "---:"),
        ("test images (patients or clusters)",
         *(f"{c['n']:,} ({c['n_groups']:,})" for c in columns)),
        ("**accuracy**", *(f"**{share(c['metrics']['accuracy'])}**" for c in columns)),
        ("log-loss", *(number(c["metrics"]["log_loss"]) for c in columns)),
        ("macro-F1", *(number(c["metrics"]["macro_f1"]) for c in columns)),
        ("expected calibration error",
         *(number(c["metrics"]["expected_calibration_error"]) for c in columns)),
        ("missed tumours (answered “no tumour”)",
         *(share(c["metrics"]["missed_tumor_rate"]) for c in columns)),
        ("healthy answered with a tumour",
         *(share(c["metrics"]["false_alarm_rate"]) for c in columns)),
        ("control: label of the most similar training picture",
         *control("hash_neighbour", folder, clean)),
        ("control: sees the outer frame only", *control("frame_classifier", folder, clean)),
        ("Ganguly and Ghosh (2025)",
         f"{paper['test_accuracy']:.2%}, loss {paper['test_log_loss']}", "–", "not reported"),
        ("bundle", "`folder`", "`folder`", "`default`"),
    ]  # fmt: skip
    commands = (
        f"95% intervals in brackets, from resampling patients. `folder`: seed 0 of three; the mean "
        f"accuracy of the three seeds is {protocols.mean_accuracy():.2%}. `clean`: recipe `taught-again`, one "
        f"seed; of `robust`, from which it goes on, {protocols.robust_seeds_told()}.{protocols.folds_told()} "
        f"Made by `{folder['command']}` and `{clean['command']}`."
    )
    return table(rows) + "\n\n" + commands


def control(name: str, folder: Json, clean: Json) -> tuple[str, str, str]:
    """A control's accuracy in the three columns."""
    on_folder = folder["controls"][name]
    on_subset = on_folder["subsets"][TWINLESS]
    return (
        share(on_folder["accuracy"]), share(on_subset["accuracy"]),
        share(clean["controls"][name]["accuracy"]),
    )  # fmt: skip


def results_page() -> str:
    """The whole story on one page, with one picture."""
    sections = [
        "# Results\n\nWritten by `python scripts/tables.py` from the records in `experiments/`; do not edit by "
        "hand. Everything else\nthat was measured, with its command: [measurements](measurements.md). "
        "Every look at a test set: [log](../experiments/log.md).",
        "## In one picture\n\n" + trust.story_section(),
        "## Side by side\n\n" + honest_table(),
        "## Aims\n\n" + goals.goals_section(),
        "## Beside other networks\n\n" + peers.summary(load("records", "peers.json")),
    ]
    return "\n\n".join(sections) + "\n"


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


if __name__ == "__main__":
    main()
