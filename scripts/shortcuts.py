"""What a shortcut would score, and pictures spoiled in ten ways."""

from records import commands, evaluation, load, share, table


def probes_section() -> str:
    """The default bundle's probes on the `clean` test."""
    found = evaluation("default")
    rows = [("probe", "images", "share", "wanted"), ("---", "---:", "---:", "---:")]
    for name, probe in found["probes"].items():
        for rate in probe["rates"].values():
            title = f"{name}: {rate['title']}"
            rows.append((title, f"{rate['n']:,}", share(rate), rate["wanted"]))
    told = "\n".join(f"- **{n}**: {one['description']}" for n, one in found["probes"].items())
    return f"`clean` test, bundle `default`.\n\n{table(rows)}\n\n{told}\n\n{commands([found])}"


def corruptions_section() -> str:
    """Errors at each strength, beside the errors on pictures as they are."""
    found = evaluation("default")["corruptions"]
    rows: list[tuple[str, ...]] = [
        ("spoiled by", "amounts", *(f"strength {k}" for k in range(1, 6)), "missed at 5"),
        ("---", "---", *("---:",) * 6),
    ]
    for name, one in found["corruptions"].items():
        amounts = f"{', '.join(f'{a:g}' for a in one['amounts'])} ({one['unit']})"
        errors = (f"{error:.1%}" for error in one["errors"])
        missed = f"{one['missed_tumor_rates'][-1]:.1%}"
        rows.append((name.replace("_", " "), amounts, *errors, missed))
    return (
        f"Share of wrong answers among {found['n']} images of the `clean` test, bundle `default`: "
        f"{found['clean_error']:.1%} as they are, {share(found['mean_error'])} on average over all "
        f"kinds and strengths. By the same command.{_beside()}\n\n{table(rows)}"
    )


def _beside() -> str:
    """The same of MobileNetV2, from the comparison with other networks."""
    tables = load("records", "peers.json")["splits"]
    rows = {row["name"]: row for one in tables if one["split"] == "clean" for row in one["rows"]}
    ours, theirs = rows.get("default"), rows.get("mobilenet_v2")
    if not ours or not theirs or ours["corruption_images"] != theirs["corruption_images"]:
        return ""
    errors = ours["corrupted_error"]["value"], theirs["corrupted_error"]["value"]
    return (
        f" Beside a MobileNetV2, on the same {ours['corruption_images']} images: {errors[0]:.1%} "
        f"against {errors[1]:.1%} wrong, {errors[0] / errors[1]:.2f} times as many "
        "([peers](#peers))."
    )
