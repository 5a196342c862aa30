# ruff: noqa: E501
"""Other sources, prediction sets, refusal, heatmaps, the server under load."""

from records import Json, benchmark, evaluation, load, share, table

from tumorlens.labels import LABEL_NAMES

ELSEWHERE = (
    ("default", "`clean` test: new patients, known sources"),
    (
        "br35h-tumor",
        "Br35H tumours of unknown kind (140 held out; other pictures of the source train)",
    ),
    (
        "brain-tumor-progression",
        "TCIA Brain-Tumor-Progression: another hospital, nothing of it trains",
    ),
)


def elsewhere_section() -> str:
    """The default bundle where it was not at home."""
    rows: list[tuple[str, ...]] = [
        ("images", "n (groups)", "right", "missed tumours", "answered by its bars",
         "of those right", "missed by its bars"),
        ("---", "---:", "---:", "---:", "---:", "---:", "---:"),
    ]  # fmt: skip
    for name, title in ELSEWHERE:
        found = evaluation(name)
        held, metrics = found["held_back"], found["metrics"]
        rows.append(
            (
                title,
                f"{found['n']:,} ({found['n_groups']:,})",
                share(metrics["accuracy"]),
                share(metrics["missed_tumor_rate"]),
                f"{held['coverage']:.1%}",
                f"{held['accuracy']:.2%}",
                f"{held['missed_tumor_rate']:.2%}",
            )
        )
    commands = "\n".join(f"    {load('evaluations', f'{n}.json')['command']}" for n, _ in ELSEWHERE)
    return (
        f"{plain_and_robust()}\n\nOne bundle, `default`, one look each. “Right” of a tumour of unknown kind is any tumour "
        "class. Its bars of abstention were chosen on validation images and, with a network made alike, "
        "on sources left out; shares of missed tumours "
        f"are of all tumour images.\n\n{table(rows)}\n\n{commands}"
    )


def story_section() -> str:
    """The picture, what it shows, and the commands behind its bars."""
    plain = ("folder-0", "clean-0", "clean-0-br35h-tumor", "clean-0-brain-tumor-progression")
    found = [evaluation(name) for name in plain]
    right = [f"{100 * one['metrics']['accuracy']['value']:.1f}%" for one in found]
    abroad = {
        name: evaluation(name)["metrics"]["missed_tumor_rate"]
        for name in ("clean-0-br35h-tumor", "br35h-tumor")
    }
    commands = "\n".join(f"    {one['command']}" for one in found[2:])
    return (
        "![One network on the patients it knows, on new ones, and in other hospitals]"
        "(figures/story.png)\n\n"
        f"The same small network, trained in the usual way, is right {right[0]} of the time on the "
        f"literature's split, whose test patients it was trained on; {right[1]} on new patients of the "
        f"same sources; {right[2]} and {right[3]} elsewhere, where it calls "
        f"{share(abroad['clean-0-br35h-tumor'])} of Br35H's tumours “no tumour”. `default`, a relative of it "
        "that reads the class off where it sees tumour, learnt from experts' outlines, from tumours moved between sources and from other collections: it calls "
        f"{share(abroad['br35h-tumor'])} of them so, before it abstains. {_br35h_told()} Whiskers are 95% intervals from "
        "resampling patients; drawn by `python scripts/story.py`. The plain network elsewhere, one look "
        "each (`clean-0` is [the plain run](../experiments/runs/clean-0/run.json)'s bundle):\n\n"
        + commands
    )


def _br35h_told() -> str:
    """What of that source trained, and what a network says that saw none of its tumours."""
    never = evaluation("left-out-br35h-tumor")["metrics"]["missed_tumor_rate"]
    return (
        "Other pictures of Br35H's tumours train `default`, labelled “some tumour”; a network of `robust` "
        f"that saw nothing of Br35H calls {share(never)} so."
    )


def plain_and_robust() -> str:
    """What robustness costs at home."""
    plain, robust, plain_abroad, robust_abroad = (
        evaluation(name)["metrics"]
        for name in ("clean-0", "default", "clean-0-br35h-tumor", "br35h-tumor")
    )
    return (
        "The plain recipe, trained on the same patients and nothing else, scores "
        f"{share(plain['accuracy'])} on the `clean` test, misses {share(plain['missed_tumor_rate'])} "
        f"of its tumours and gives {share(plain['false_alarm_rate'])} false alarms; `default` scores "
        f"{share(robust['accuracy'])}, misses {share(robust['missed_tumor_rate'])} and gives "
        f"{share(robust['false_alarm_rate'])}. But of Br35H's tumours the plain one calls "
        f"{share(plain_abroad['missed_tumor_rate'])} no tumour, `default` "
        f"{share(robust_abroad['missed_tumor_rate'])}. {_br35h_told()} The plain one is shown what it is used to, and "
        "says so with confidence."
    )


def sets_section() -> str:
    """What the prediction sets hold; empty while no record has any."""
    rows: list[tuple[str, ...]] = [
        ("images", "n", "sets that hold the truth", "exact binomial interval", "mean size",
         "one class only"),
        ("---", "---:", "---:", "---:", "---:", "---:"),
    ]  # fmt: skip
    stated = None
    for name, title in ELSEWHERE:
        found = evaluation(name).get("prediction_sets")
        if not found:
            continue
        stated = found["stated_coverage"]
        rows.append(sets_row(f"**{title}**", found))
        parts = found["by_decision"] | (found["by_label"] if len(found["by_label"]) > 1 else {})
        rows += [sets_row(f"… {LABEL_NAMES.get(part, part)}", one) for part, one in parts.items()]
    if stated is None:
        return ""
    return (
        f"Beside each answer `default` names the classes that are not excluded. Of each class {stated:.0%} "
        "of the sets shall hold it; fitted on `clean` validation images (split-conformal, class by class: "
        "`tumorlens calibrate`), a promise for other patients of the same sources only. Intervals: from "
        "resampling patients, and the binomial one, which takes slices of one patient for independent. "
        f"Of a tumour of unknown kind any tumour in the set counts. By the commands above.\n\n{table(rows)}"
    )


def sets_row(title: str, found: Json) -> tuple[str, ...]:
    """One row of the table of prediction sets."""
    low, high = found["binomial_interval"]
    size, single = found["mean_size"]["value"], found["singletons"]["value"]
    exact = f"{low:.1%}–{high:.1%}"
    return title, f"{found['n']:,}", share(found["coverage"]), exact, f"{size:.2f}", f"{single:.1%}"


def refusal_section() -> str:
    """What the gate refuses."""
    found = load("records", "refusal.json")
    rows = [("kind", "pictures", "refused", "AUROC"), ("---", "---:", "---:", "---:")]
    rows += [
        (row["kind"], str(row["n"]), f"{row['refused']:.1%}", f"{row['auroc']:.4f}")
        for row in found["kinds"]
    ]
    heads = found["heads"]
    rows.append((f"heads: `{found['split']}` {found['part']}", f"{heads['n']:,}",
                 f"**{heads['refused']:.2%}**", "–"))  # fmt: skip
    volumes = "".join(f" --volume {name}" for name in found["volumes"])
    return (
        "The gate alone, before anything is classified (`python -m experiments.refusal --data "
        f"nickparvar.csv --output refusal.json{volumes}`; the trunks are test files of "
        "TotalSegmentator's source package). Nothing of it trained; but the gate is taught drawn trunks "
        "and discs because of what passed an earlier one ([log](../experiments/log.md)).\n\n"
        + table(rows)
    )


def heatmaps_section() -> str:
    """Whether heatmaps point at tumours."""
    found = load("records", "heatmaps.json")
    rows = [("map", "peak inside the outline", "mass inside", "overlap of boxes"),
            ("---", "---:", "---:", "---:")]  # fmt: skip
    for row in found["maps"]:
        fields = ("hit", "energy", "box_iou")
        rows.append((row["map"], *(share(row[field]) for field in fields)))
    return (
        f"{found['n']:,} outlined tumours of {found['patients']} patients, `{found['split']}` "
        f"{found['part']}, bundle `{found['bundle']}`, whatever was answered (`python -m "
        "experiments.heatmaps --data nickparvar.csv --output heatmaps.json`).\n\n" + table(rows)
    )


def serve_section() -> str:
    """The server under load, beside the usual way to put a model behind HTTP."""
    found = benchmark("serve")
    rows = [("connections", "server", "requests/s", "p50", "p95", "p99", "errors", "lost"),
            ("---:", "---", *("---:",) * 6)]  # fmt: skip
    for one in sorted(found["load"], key=lambda m: (m["connections"], m["contender"] == "plain")):
        times = (f"{one[name]:.0f} ms" for name in ("p50", "p95", "p99"))
        rows.append(
            (str(one["connections"]), one["contender"], f"{one['requests_a_second']:.0f}", *times,
             str(one["not_2xx"]), str(one["lost"]))
        )  # fmt: skip
    return (
        f"wrk on the same machine ({found['cores']} cores, {found['processor']}), a JPEG of 512 x 512, "
        f"medians of {found['repeats']} runs of {found['seconds']:.0f} s; `plain` is a FastAPI app with "
        "the same bundle, one forward pass a request (`python -m benchmarks.serve --soak 600 "
        "--output serve.json`).\n\n" + table(rows) + "\n\n" + endurance(found)
    )


def endurance(found: Json) -> str:
    """What ten times the capacity and a long load do."""
    soak, overload = found["soak"], found["overload"]
    return (
        f"At {overload['connections']} connections, ten times its capacity, the server answered "
        f"{overload['answered_503']:,.0f} times 503 and lost {overload['during']['lost']} responses; "
        f"afterwards it answered without an error again. In {soak['seconds'] / 60:.0f} minutes at 8 "
        f"connections: {soak['requests']:,} requests, {soak['not_2xx']} errors, {soak['lost']} lost, "
        f"memory {soak['first_tenth_mib']:.0f} MiB in the first tenth and {soak['last_tenth_mib']:.0f} "
        "MiB in the last."
    )
