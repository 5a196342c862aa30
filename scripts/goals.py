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
    seeds: Sequence[float]
    """Of the recipe `robust`, or of the protocol's own; one for each seed or source."""
    box: Sequence[float]
    """Of `default`; both are empty where nothing was measured."""
    written: Callable[[float], str]
    at_most: bool = True

    def row(self) -> tuple[str, ...]:
        """What, aim, and twice: measured, reached."""
        aim = f"{'at most' if self.at_most else 'at least'} {self.written(self.aim)}"
        return self.what, aim, *self._told(self.seeds), *self._told(self.box)

    def _told(self, values: Sequence[float]) -> tuple[str, str]:
        if not values:
            return "–", ""
        mean = fmean(values)
        measured = self.written(mean)
        if len(values) > 1:
            low, high = self.written(min(values)), self.written(max(values))
            measured = f"{measured} ({low} to {high})"
        reached = mean <= self.aim if self.at_most else mean >= self.aim
        return measured, "yes" if reached else "**no**"


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
    rows: list[tuple[str, ...]] = [("what", "aim", "seeds", "reached", "`default`", "reached"),
            ("---", "---:", "---:", ":---:", "---:", ":---:")]  # fmt: skip
    rows += [goal.row() for goal in (*_at_home(), *_elsewhere(), *_shortcuts(), *_trust())]
    seeds = len(protocols.robust(""))
    return (
        "Set before `default` was trained, for a network of fewer than half a million parameters, as means of "
        f"three seeds. “Seeds”: of the recipe `robust`, the mean of {seeds}, in brackets the lowest and the highest; of "
        "`clean-cv`, `patient-cv` and `folder-attentive` there is one. `default` is one network, made from seed 0 of "
        "`robust` by the recipes `taught` and `taught-again`. Intervals over patients stand in the [measurements](measurements.md). What "
        f"was tried where an aim is missed: [log](../experiments/log.md).\n\n{table(rows)}"
    )


def _of(records: Sequence[Json], *keys: str) -> list[float]:
    return [protocols.dig(record, *keys) for record in records]


def _both(
    seeds: Sequence[Json], box: Sequence[Json], *keys: str
) -> tuple[list[float], list[float]]:
    return _of(seeds, *keys), _of(box, *keys)


def _at_home() -> list[Goal]:
    home, box = protocols.robust(""), protocols.box("")
    folds, patients = evaluations("clean-cv"), evaluations("patient-cv")
    attentive = evaluations(protocols.ATTENTIVE)
    return [
        Goal("`clean` test: accuracy, all answered", 0.95,
             *_both(home, box, "metrics", "accuracy", "value"), exact, at_most=False),
        Goal("`clean` test: log-loss", 0.17,
             *_both(home, box, "metrics", "log_loss", "value"), plain),
        Goal("`clean` test: missed tumours", 0.005,
             *_both(home, box, "metrics", "missed_tumor_rate", "value"), exact),
        Goal("`clean-cv`: mean accuracy of five folds", 0.945,
             _of(folds, "accuracy_over_rounds", "mean"), [], exact, at_most=False),
        Goal("`patient-cv`: accuracy by image", 0.93,
             _of(patients, "metrics", "accuracy", "value"), [], exact, at_most=False),
        Goal("`patient-cv`: accuracy by patient's majority", 0.95,
             _of(patients, "patients", "accuracy", "value"), [], exact, at_most=False),
        Goal("`folder` test: accuracy (`folder-attentive`, one seed)", 0.993,
             _of(attentive, "metrics", "accuracy", "value"), [], exact, at_most=False),
        Goal("`folder` test: log-loss (the same)", 0.03,
             _of(attentive, "metrics", "log_loss", "value"), [], plain),
    ]  # fmt: skip


def _elsewhere() -> list[Goal]:
    goals = []
    for place, title in zip(
        protocols.ABROAD[1:], ("Br35H's tumours", "Brain-Tumor-Progression"), strict=True
    ):
        found, box = protocols.robust(place), protocols.box(place)
        goals += [
            Goal(f"{title}: missed, all answered", 0.03,
                 *_both(found, box, "metrics", "missed_tumor_rate", "value"), percent),
            Goal(f"{title}: missed, by the bars", 0.01,
                 *_both(found, box, "held_back", "missed_tumor_rate"), percent),
        ]  # fmt: skip
    progression = protocols.robust(protocols.ABROAD[2]), protocols.box(protocols.ABROAD[2])
    goals.append(Goal("Brain-Tumor-Progression: glioma right among answered", 0.8,
                      *_both(*progression, "held_back", "accuracy"), percent, at_most=False))  # fmt: skip
    healthy = protocols.healthy_abroad(*protocols.LEFT_OUT)
    taught = protocols.healthy_abroad(protocols.LEFT_OUT_TAUGHT)
    goals.append(Goal(f"left out of training, {len(healthy)} sources (a network of `taught`, not `default`: {len(taught)}): healthy right among answered",
                      0.9, healthy, taught, percent, at_most=False))  # fmt: skip
    return goals


def _shortcuts() -> list[Goal]:
    home, box = ([one for one in found if "probes" in one]
                 for found in (protocols.robust(""), protocols.box("")))  # fmt: skip
    rate = ("probes", "frame", "rates", "removed_changed", "value")
    return [
        Goal("frame removed: answers changed", 0.02, *_both(home, box, *rate), percent),
        Goal("tumour erased: leaves its class", 0.8,
             *_both(home, box, "probes", "erased", "rates", "leaves", "value"), percent, at_most=False),
        Goal("tumour pasted: becomes a tumour", 0.8,
             *_both(home, box, "probes", "pasted", "rates", "tumor", "value"), percent, at_most=False),
    ]  # fmt: skip


def _trust() -> list[Goal]:
    refusal, maps = load("records", "refusal.json"), load("records", "heatmaps.json")
    shown = next(one for one in maps["maps"] if one["map"] == "lesion map")
    sets = evaluation("default")["prediction_sets"]
    return [
        Goal("`clean` test: expected calibration error", 0.02,
             *_both(protocols.robust(""), protocols.box(""),
                    "metrics", "expected_calibration_error", "value"), plain),
        Goal("prediction sets: hold the truth", sets["stated_coverage"],
             [], [sets["coverage"]["value"]], percent, at_most=False),
        Goal("`clean` test refused by the gate", 0.02, [], [refusal["heads"]["refused"]], exact),
        Goal("what is no head: refused, worst kind", 0.99,
             [], [min(kind["refused"] for kind in refusal["kinds"])], percent, at_most=False),
        Goal("heatmap: peak inside the outline", 0.85,
             [], [shown["hit"]["value"]], exact, at_most=False),
    ]  # fmt: skip
