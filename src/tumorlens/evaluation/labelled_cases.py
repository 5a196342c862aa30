"""Labelled images of a site with the outputs of a network, and checks that it is of any use."""

import dataclasses
from itertools import compress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import EvaluationError
from tumorlens.evaluation import metrics
from tumorlens.evaluation.calibration import MAX_TEMPERATURE

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

USELESS: Final = 0.6
"""Mean area under the ROC curves up to which a network is useless."""
_HIGHEST: Final = 0.999
"""Share of the upper bound from which the fitted temperature counts as at the bound."""
_ROUNDING: Final = 1e-9


@dataclasses.dataclass(frozen=True, slots=True)
class LabelledCases:
    """N local images: logits and correct classes."""

    logits: Floats
    """(N, C), before temperature."""
    correct: Bools
    """(N, C): the correct classes; several if only "some tumour" is known."""
    groups: tuple[str, ...]
    """The patient of each image."""
    sequences: tuple[str | None, ...]
    """The sequence of each image, if it is known."""

    @property
    def known(self) -> Bools:
        """(N,): whether the class is known."""
        return np.asarray(self.correct.sum(axis=1) == 1)

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len(set(self.groups))

    def where(self, member: Bools) -> "LabelledCases":
        """The cases of some of the images."""
        sequences = tuple(compress(self.sequences, member))
        return LabelledCases(
            self.logits[member], self.correct[member], self.groups_where(member), sequences
        )

    def groups_where(self, member: Bools) -> tuple[str, ...]:
        """The patients of the images that ``member`` (N,) selects."""
        return tuple(compress(self.groups, member))


def require_useful(name: str, probabilities: Floats, correct: Bools) -> None:
    """Raise ``EvaluationError`` if the network is not better than chance for these classes.

    Checks the mean area under the ROC curve of each class against the rest, which needs no
    threshold, and the mean sensitivity, which is at chance if a network always gives the most
    common answer. If all images are of one class, checks the share that is answered correctly.
    """
    known = correct.sum(axis=1) == 1
    rows, truth = probabilities[known], correct[known]
    if not len(rows):
        raise EvaluationError("no image is labelled with one of the classes")
    ones = np.ones((1, len(rows)))
    areas = [
        float(metrics.auroc(truth[:, k], rows[:, k], ones)[0])
        for k in range(truth.shape[1])
        if 0 < truth[:, k].sum() < len(rows)
    ]
    hits = truth[np.arange(len(rows)), rows.argmax(axis=1)]
    sensitivities = [float(hits[own].mean()) for own in truth.T if own.any()]
    sensitivity = float(np.mean(sensitivities))
    if areas and np.mean(areas) <= USELESS:
        said = f"mean area under the ROC curve {np.mean(areas):.2f}, chance is 0.5"
    elif areas and sensitivity <= 1.0 / len(sensitivities) + _ROUNDING:
        said = f"mean sensitivity {sensitivity:.0%}, no better than always giving one answer"
    elif not areas and sensitivity <= 1.0 / truth.shape[1]:
        said = f"{sensitivity:.0%} of {len(rows)} images of one class are classified correctly"
    else:
        return
    raise _useless(name, said)


def require_fitted(name: str, temperature: float) -> None:
    """Raise ``EvaluationError`` if the fitted temperature is at its upper bound.

    All classes then have nearly the same probability: confident answers are as often wrong as
    correct.
    """
    if temperature >= _HIGHEST * MAX_TEMPERATURE:
        raise _useless(name, f"the temperature is at its upper bound, {MAX_TEMPERATURE:.0f}")


def _useless(name: str, said: str) -> EvaluationError:
    return EvaluationError(
        f"bundle {name} cannot distinguish the classes of these images ({said}): it is untrained "
        "or unsuitable for them, and no threshold can correct that. Train it further, or on "
        "images like these"
    )
