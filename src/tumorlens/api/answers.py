"""Answers for programs and notebooks: the record together with the image."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, overload

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from tumorlens.api.arguments import checked
from tumorlens.errors import InputError
from tumorlens.imaging.facts import AcquisitionFacts, sides_of
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.raster import encode
from tumorlens.imaging.raster.overlay import gray_with_sides
from tumorlens.inference import heatmap as heatmaps
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import REJECTED, Failure, Heatmap, Result, StudyPrediction
from tumorlens.inference.summary import headline
from tumorlens.inference.volume import slice_of
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.reporting.answer_image import draw
from tumorlens.reporting.display import displayed_slice
from tumorlens.reporting.html import embed_png, render
from tumorlens.reporting.records import record
from tumorlens.text import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN: Final = 24
"""Most answers that a notebook displays of several."""
_COLUMNS: Final = 4
_LINE: Final = 48


class Answer:
    """The answer for one image, volume, series or study.

    A notebook displays it with image and heatmap. The image is read again when it is needed, so
    many answers need little memory.
    """

    def __init__(
        self,
        result: Result,
        classifier: Classifier,
        read: Callable[[], MedicalImage] | None = None,
    ) -> None:
        """``read`` reads the image; None for a study, which has several."""
        self.result = result
        """The record."""
        self._classifier = classifier
        self._read = read

    @property
    def path(self) -> str:
        """Path of the image; ``<array>`` for an array."""
        return self.result.path

    @property
    def decision(self) -> str:
        """``classified``, ``detected``, ``abstained``, ``rejected``, or ``failed``."""
        return self.result.decision

    @property
    def label(self) -> str | None:
        """The class; None unless ``classified``."""
        return self.result.label

    @property
    def summary(self) -> str:
        """The answer in a sentence, or the error."""
        return self.result.summary

    @property
    def reason(self) -> str:
        """Why presence or kind is not reported; empty if both are."""
        return self.result.reason

    @property
    def error(self) -> str | None:
        """The error of an input that could not be used; None if there is an answer."""
        return self.result.error.message if isinstance(self.result, Failure) else None

    @property
    def tumor_probability(self) -> float | None:
        """Probability of a tumour of any kind; None if there is no answer."""
        return self.result.tumor_probability

    @property
    def probabilities(self) -> Mapping[str, float] | None:
        """Probability of each class; None if there is no answer."""
        return self.result.probabilities

    @property
    def prediction_set(self) -> tuple[str, ...] | None:
        """The classes that are not excluded, most probable first; None if there is no set."""
        return self.result.prediction_set

    @property
    def notes(self) -> tuple[str, ...]:
        """Caveats: gaps, duplicates, omissions and assumptions; an uncalibrated bundle."""
        if isinstance(self.result, Failure):
            return ()
        return (*self.result.notes, *self._classifier.bundle.info.caveats)

    @property
    def image(self) -> NDArray[np.float32] | None:
        """(H, W) in the file's units: the image, or the decisive slice; None if there is none.

        Raises ``InputError`` if the file no longer exists.
        """
        return None if self._displayed is None else self._displayed.plane.pixels

    @property
    def heatmap(self) -> NDArray[np.float32] | None:
        """(H, W), 0 to 1: where the network sees a tumour; None if the answer is no tumour."""
        if self._displayed is None or self._displayed.heatmap is None:
            return None
        plane = self._displayed.plane
        return heatmaps.render(self._displayed.heatmap, (plane.height, plane.width))

    def to_dict(self) -> dict[str, Any]:
        """The record that ``tumorlens predict --format json`` writes."""
        return record(self.result)

    def png(self) -> bytes | None:
        """PNG of the image with heatmap, answer and notice; None without an image."""
        displayed = self._displayed
        if displayed is None or isinstance(self.result, Failure):
            return None
        return draw(displayed.plane, self.result, displayed.heatmap, displayed.facts)

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw image, heatmap and answer into ``axes``, or into a new matplotlib figure."""
        import matplotlib.pyplot as plt

        axes = axes or plt.subplots(figsize=(4, 4.8), layout="constrained")[1]
        if (image := self.image) is not None:
            axes.imshow(image, cmap="gray")
        if (heat := self.heatmap) is not None:
            axes.imshow(heat, cmap="magma", alpha=0.6 * heat, vmin=0, vmax=1)
        axes.set_title(self.headline)
        lines = [line for text in (self.summary, RESEARCH_NOTICE) for line in wrap(text, _LINE)]
        axes.set_xlabel("\n".join(lines), fontsize="x-small")
        axes.set_xticks([])
        axes.set_yticks([])
        return axes

    def __repr__(self) -> str:
        return f"<Answer {self.path}: {self.headline}. {self.summary}>"

    def _repr_html_(self) -> str:
        return render("answers.html", answers=[self], left_out=0)

    @property
    def headline(self) -> str:
        """``Glioma``, ``No tumour``, ``Tumour detected, kind uncertain``, ``Abstained``..."""
        return headline(self.result)

    def named_probabilities(self) -> list[tuple[str, float]]:
        """Display name and probability of each class; empty if there is no answer."""
        if isinstance(self.result, Failure) or self.result.probabilities is None:
            return []
        names = self.result.model.class_set.display_names
        return [(names[name], share) for name, share in self.result.probabilities.items()]

    def named_set(self) -> list[str]:
        """Display names of the classes that are not excluded; empty without a set."""
        if isinstance(self.result, Failure):
            return []
        names = self.result.model.class_set.display_names
        return [names[name] for name in self.result.prediction_set or ()]

    def images(self) -> list[str]:
        """The images for a notebook, as data URIs: without and with the heatmap."""
        try:
            displayed, drawn = self._displayed, self.png()
        except InputError:  # the file no longer exists
            return []
        if displayed is None or drawn is None:
            return []
        plain = encode.data_uri(gray_with_sides(displayed.plane.pixels, sides_of(displayed.facts)))
        return [plain, embed_png(drawn)] if displayed.heatmap else [embed_png(drawn)]

    @cached_property
    def _displayed(self) -> "_DisplayedSlice | None":
        result = self.result
        if self._read is None or isinstance(result, Failure | StudyPrediction):
            return None
        image, index = self._read(), displayed_slice(result)
        heatmap = result.heatmap
        if heatmap is None and result.decision != REJECTED:
            # The image and the outputs of the network were not kept with the answer.
            (again,) = self._classifier.answer([self._classifier.prepare(slice_of(image, index))])
            heatmap = again.heatmap()
        return _DisplayedSlice(slice_of(image, index), heatmap, image.facts)


class _DisplayedSlice(NamedTuple):
    """The part of an image that is kept for display: one slice."""

    plane: MedicalImage
    heatmap: Heatmap | None
    facts: AcquisitionFacts | None


class Answers(Sequence[Answer]):
    """Several answers, in input order, including those for inputs that could not be used."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        """Keep ``answers``."""
        self._answers = tuple(answers)

    @overload
    def __getitem__(self, index: int) -> Answer: ...
    @overload
    def __getitem__(self, index: slice) -> "Answers": ...
    def __getitem__(self, index: int | slice) -> "Answer | Answers":
        if isinstance(index, slice):
            return Answers(self._answers[index])
        return self._answers[index]

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def failed(self) -> "Answers":
        """The answers for inputs that could not be used."""
        return Answers([answer for answer in self if answer.error is not None])

    @property
    def studies(self) -> "Answers":
        """The answers for studies of several series."""
        return Answers([answer for answer in self if isinstance(answer.result, StudyPrediction)])

    def to_dicts(self) -> list[dict[str, Any]]:
        """The records that ``tumorlens predict --format json`` writes."""
        return [answer.to_dict() for answer in self]

    @checked
    def plot(self, columns: Annotated[int, Meta(ge=1)] = _COLUMNS) -> "Figure":
        """Draw all answers with an image, in ``columns`` columns; return the figure."""
        import matplotlib.pyplot as plt

        with_image = [answer for answer in self if answer.image is not None]
        rows = max(1, -(-len(with_image) // columns))
        size = (3 * columns, 3.4 * rows)
        figure, grid = plt.subplots(
            rows, columns, figsize=size, squeeze=False, layout="constrained"
        )
        for axes in grid.flat[len(with_image) :]:
            axes.set_axis_off()
        for answer, axes in zip(with_image, grid.flat, strict=False):
            answer.plot(axes)
        return figure

    def __repr__(self) -> str:
        lines = [f"  {answer!r}" for answer in self[:SHOWN]]
        lines += [f"  … and {len(self) - SHOWN} more"] if len(self) > SHOWN else []
        return "\n".join([f"<{counted(len(self), 'answer')}", *lines]) + ">"

    def _repr_html_(self) -> str:
        left_out = max(0, len(self) - SHOWN)
        return render("answers.html", answers=list(self[:SHOWN]), left_out=left_out)
