# ruff: noqa: E501
"""What was aimed for, what came out, and whether that is enough."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import protocols
from records import Json, evaluation, evaluations, load, table


@dataclass(frozen=True)
class Goal:
    """One line of the table."""

    what: str
    aim: float
    values: Sequence[float]
    """One for each seed that was measured; empty where none was."""
    written: Callable[[float], str]
    at_most: bool = True

    def row(self) -> tuple[str, str, str, str]:
        """What, aim, measured, reached."""
        aim = f"{'at most' if self.at_most else 'at least'} {self.written(self.aim)}"
        if not self.values:
            return self.what, aim, "not measured", "–"
        mean = fmean(self.values)
        measured = self.written(mean)
        if len(self.values) > 1:
            low, high = self.written(min(self.values)), self.written(max(self.values))
            measured = f"{measured} ({low} to {high})"
        reached = mean <= self.aim if self.at_most else mean >= self.aim
        return self.what, aim, measured, "yes" if reached else "**no**"


def percent(value: float) -> str:
    """A share, to a tenth of a percent."""
    return f"{value:.1%}"


def exact(value: float) -> str:
    """A share, to a hundredth of a percent."""
    return f"{value:.2%}"


def plain(value: float) -> str:
    """A number, to a thousandth."""
    return f"{value:.3f}"


def goals_section() -> str:
    """All of them."""
    rows = [("what", "aim", "measured", "reached"), ("---", "---:", "---:", ":---:")]
    rows += [goal.row() for goal in (*_at_home(), *_elsewhere(), *_shortcuts(), *_trust())]
    seeds = len(protocols.robust(""))
    return (
        "Set before `default` was trained, for a network of fewer than half a million parameters. Of the "
        f"recipe `robust`: {'one seed' if seeds == 1 else f'the mean of {seeds} seeds, in brackets the lowest and the highest'}; "
        "intervals over patients stand in the [measurements](measurements.md). What was "
        f"tried where an aim is missed: [log](log.md).\n\n{table(rows)}"
    )


def _of(records: Sequence[Json], *keys: str) -> list[float]:
    return [protocols.dig(record, *keys) for record in records]


def _at_home() -> list[Goal]:
    home = protocols.robust("")
    folds, patients = evaluations("clean-cv"), evaluations("patient-cv")
    attentive = evaluations(protocols.ATTENTIVE)
    return [
        Goal("`clean` test: accuracy, all answered", 0.95,
             _of(home, "metrics", "accuracy", "value"), exact, at_most=False),
        Goal("`clean` test: log-loss", 0.17, _of(home, "metrics", "log_loss", "value"), plain),
        Goal("`clean` test: missed tumours", 0.005,
             _of(home, "metrics", "missed_tumor_rate", "value"), exact),
        Goal("`clean-cv`: mean accuracy of five folds", 0.945,
             _of(folds, "accuracy_over_rounds", "mean"), exact, at_most=False),
        Goal("`patient-cv`: accuracy by image", 0.93,
             _of(patients, "metrics", "accuracy", "value"), exact, at_most=False),
        Goal("`patient-cv`: accuracy by patient's majority", 0.95,
             _of(patients, "patients", "accuracy", "value"), exact, at_most=False),
        Goal("`folder` test: accuracy (`folder-attentive`, one seed)", 0.993,
             _of(attentive, "metrics", "accuracy", "value"), exact, at_most=False),
        Goal("`folder` test: log-loss (the same)", 0.03,
             _of(attentive, "metrics", "log_loss", "value"), plain),
    ]  # fmt: skip


def _elsewhere() -> list[Goal]:
    goals = []
    for place, title in zip(
        protocols.ABROAD[1:], ("Br35H's tumours", "Brain-Tumor-Progression"), strict=True
    ):
        found = protocols.robust(place)
        goals += [
            Goal(f"{title}: missed, all answered", 0.03,
                 _of(found, "metrics", "missed_tumor_rate", "value"), percent),
            Goal(f"{title}: missed, by the bars", 0.01,
                 _of(found, "held_back", "missed_tumor_rate"), percent),
        ]  # fmt: skip
    progression = protocols.robust(protocols.ABROAD[2])
    goals.append(Goal("Brain-Tumor-Progression: glioma right among answered", 0.8,
                      _of(progression, "held_back", "accuracy"), percent, at_most=False))  # fmt: skip
    healthy = protocols.healthy_abroad()
    goals.append(Goal(f"left out of training, {len(healthy)} sources: healthy right among answered", 0.9,
                      healthy, percent, at_most=False))  # fmt: skip
    return goals


def _shortcuts() -> list[Goal]:
    home = [one for one in protocols.robust("") if "probes" in one]
    rate = ("probes", "frame", "rates", "removed_changed", "value")
    return [
        Goal("frame removed: answers changed", 0.02, _of(home, *rate), percent),
        Goal("tumour erased: leaves its class", 0.8,
             _of(home, "probes", "erased", "rates", "leaves", "value"), percent, at_most=False),
        Goal("tumour pasted: becomes a tumour", 0.8,
             _of(home, "probes", "pasted", "rates", "tumor", "value"), percent, at_most=False),
    ]  # fmt: skip


def _trust() -> list[Goal]:
    refusal, maps = load("benchmarks", "refusal.json"), load("benchmarks", "heatmaps.json")
    shown = next(one for one in maps["maps"] if one["map"] == "lesion map")
    sets = evaluation("default")["prediction_sets"]
    return [
        Goal("`clean` test: expected calibration error", 0.02,
             _of(protocols.robust(""), "metrics", "expected_calibration_error", "value"), plain),
        Goal("prediction sets of `default`: hold the truth", sets["stated_coverage"],
             [sets["coverage"]["value"]], percent, at_most=False),
        Goal("`clean` test refused by the gate", 0.02, [refusal["heads"]["refused"]], exact),
        Goal("what is no head: refused, worst kind", 0.99,
             [min(kind["refused"] for kind in refusal["kinds"])], percent, at_most=False),
        Goal("heatmap of `default`: peak inside the outline", 0.85,
             [shown["hit"]["value"]], percent, at_most=False),
    ]  # fmt: skip
