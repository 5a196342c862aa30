# ruff: noqa: E501
"""docs/measurements.md: everything measured, each with the command that makes it."""

import peers
import protocols
import shortcuts
import trust
from records import RECORDS, Json, benchmark, commands, evaluation, load, number, share, table


def page() -> str:
    """The whole document."""
    sections = [
        "# Measurements\n\nWritten by `python scripts/tables.py` from the records in "
        "`experiments/` and\n`benchmarks/records`; do not edit by hand. "
        "The short story: [results](results.md).",
        "## Seeds\n\n" + protocols.seeds_section(),
        "## Other protocols\n\n" + protocols.protocols_section(),
        *_optional("## A source that never trained", protocols.left_out_section()),
        "## By class\n\n" + classes_section(),
        "## By source\n\n" + sources_section(),
        "## Peers\n\n" + peers.section(load("records", "peers.json")),
        "## Elsewhere\n\n" + trust.elsewhere_section(),
        "## Shortcuts\n\n" + shortcuts.probes_section(),
        "## Spoiled pictures\n\n" + shortcuts.corruptions_section(),
        *_optional("## Prediction sets", trust.sets_section()),
        "## Refusal\n\n" + trust.refusal_section(),
        "## Heatmaps\n\n" + trust.heatmaps_section(),
        "## Runs\n\n" + runs_table(),
        "## Speed\n\n" + speed_section(),
        "## The server under load\n\n" + trust.serve_section(),
        "## From clone to the first answer\n\n" + newcomer_section(),
        "## Time to the published accuracy\n\n" + race_section(),
    ]
    return "\n\n".join(sections) + "\n"


def _optional(title: str, text: str) -> list[str]:
    return [f"{title}\n\n{text}"] if text else []


def classes_section() -> str:
    """Both bundles, each on its protocol."""
    folder = classes_table(
        "`folder` protocol, bundle `folder`", evaluation(protocols.FOLDER_SEEDS[0])
    )
    return folder + "\n\n" + classes_table("`clean`, bundle `default`", evaluation("default"))


def classes_table(title: str, found: Json) -> str:
    """Sensitivity, specificity, precision, F1 and AUROC of each class."""
    names = ("sensitivity", "specificity", "precision", "f1", "auroc")
    rows = [("class", *names), ("---", *("---:",) * len(names))]
    for label, metrics in found["metrics"]["per_class"].items():
        rows.append((label, *(number(metrics[name]) for name in names)))
    return f"{title}, {found['n']:,} test images:\n\n{table(rows)}"


def sources_section() -> str:
    """The bundle `default` on each source of the `clean` test."""
    found = evaluation("default")
    rows: list[tuple[str, ...]] = [
        (
            "source",
            "images (groups)",
            "right",
            "missed tumours",
            "false alarms",
            "answered",
            "of those right",
        ),
        ("---", *("---:",) * 6),
    ]
    for name, one in found["breakdown"]["source"].items():
        rates = (one[rate] for rate in ("accuracy", "missed_tumor_rate", "false_alarm_rate"))
        told = (share(rate) if rate["value"] is not None else "–" for rate in rates)
        kept = one["held_back"]
        answered = f"{kept['coverage']:.1%}", f"{kept['accuracy']:.1%}"
        rows.append((name, f"{one['n']:,} ({one['n_groups']:,})", *told, *answered))
    return (
        "`clean` test, bundle `default`. Nearly all tumours come from cheng and healthy heads from br35h; only sartaj has "
        f"both, and says most of a network that knows its sources apart.\n\n{table(rows)}\n\n{commands([found])}"
    )


def runs_table() -> str:
    """What each shipped run took."""
    rows: list[tuple[str, ...]] = [
        ("run", "split", "train / validation images", "epochs (best)", "wall time", "threads"),
        ("---", "---", "---:", "---:", "---:", "---:"),
    ]
    for folder in sorted((RECORDS / "runs").iterdir()):
        run = load("runs", folder.name, "run.json")
        rows.append(
            (
                f"[{folder.name}](../experiments/runs/{folder.name}/run.json)",
                f"`{run['split']['name']}`",
                f"{run['images']['train']:,} / {run['images']['validation']:,}",
                f"{run['epochs']} ({run['best_epoch']})",
                f"{run['wall_time_s'] / 60:.0f} min",
                str(run["hardware"]["threads"]),
            )
        )
    return table(rows) + "\n\nRuns shared their machine's two cores with one another."


def speed_section() -> str:
    """Images a second beside a MobileNetV2-sized network."""
    found = benchmark("predict")
    measured = {(m["contender"], m["cores"]): m for m in found["measurements"]}
    rows: list[tuple[str, ...]] = [
        ("cores", "tumorlens, images/s", "MobileNetV2, images/s", "ratio",
         "tumorlens, first answer", "MobileNetV2, first answer"),
        ("---:",) * 6,
    ]  # fmt: skip
    for cores in (1, 2):
        ours, theirs = measured["tumorlens", cores], measured["mobilenet_v2", cores]
        rows.append(
            (
                str(cores),
                f"{ours['images_a_second']:.0f}",
                f"{theirs['images_a_second']:.0f}",
                f"{ours['images_a_second'] / theirs['images_a_second']:.1f}",
                f"{ours['cold_start_seconds']:.2f} s",
                f"{theirs['cold_start_seconds']:.2f} s",
            )
        )
    return (
        f"JPEG files on disk ({found['pictures']}) to JSON lines, medians of {found['repeats']} "
        f"interleaved repeats, {found['processor']}; MobileNetV2 has "
        f"{found['mobilenet_v2_parameters']:,} parameters and is driven with Pillow, numpy and "
        "onnxruntime. First answer: from the start of a fresh process. "
        "(`python -m benchmarks.predict --output predict.json`)\n\n" + table(rows)
    )


def newcomer_section() -> str:
    """How long a newcomer waits for the first answer, on the page and in a PACS."""
    found = benchmark("newcomer")
    cache = "with" if found["pip_cache"] else "without"
    parts = [
        f"By the README and [clinical.md](clinical.md) alone, {cache} a cache of pip's, packages from a "
        f"near mirror; {found['cores']} cores, {found['processor']}, other programs on them as well. A "
        "synthetic head in a real Chromium, then a synthetic study sent to a node, which waits half a "
        "minute for more images (`python -m benchmarks.newcomer --output newcomer.json`)."
    ]
    for path, title in (("page", "on the page"), ("node", "in the archive")):
        one = found[path]
        rows = [(f"to an answer {title}", "seconds"), ("---", "---:")]
        rows += [(name, f"{seconds:.1f}") for name, seconds in one["steps"].items()]
        wanted = f"**in all** (at most {one['target_seconds']:.0f} wanted)"
        rows.append((wanted, f"**{one['total_seconds']:.1f}**"))
        parts.append(table(rows))
    return "\n\n".join(parts)


def memory_table() -> str:
    """What reading the largest inputs takes."""
    rows = [("input", "size", "file", "added"), ("---", "---", "---:", "---:")]
    for one in benchmark("memory")["inputs"]:
        size = " x ".join(map(str, one["shape"]))
        file, added = (f"{one[name]:,.0f} MiB" for name in ("file_mib", "added_mib"))
        rows.append((one["input"], size, file, added))
    return table(rows)


def race_section() -> str:
    """Wall time until validation-selected weights pass the published test accuracy."""
    race = load("records", "time_to_accuracy.json")
    seconds = race["seconds_to_target"]
    reached = f"after **{seconds / 60:.1f} minutes**" if seconds else "not at all"
    rows = [("epoch", "selected epoch", "seconds", "validation", "test"), ("---:",) * 5]
    rows += [
        (
            str(m["epoch"]),
            str(m["best_epoch"]),
            f"{m['seconds']:.0f}",
            f"{m['validation_accuracy']:.2%}",
            f"{m['test_accuracy']:.2%}",
        )
        for m in race["moments"]
    ]
    return (
        f"With the recipe `{race['recipe']}`, {race['target']:.2%} on `folder` was passed "
        f"{reached}; start-up, decoding and validation included, {race['processes']} "
        f"{'process' if race['processes'] == 1 else 'processes'} of one thread, on a machine whose "
        "two cores other programs used as well "
        f"(`python -m experiments.time_to_accuracy --data nickparvar.csv`).\n\n{table(rows)}"
    )
