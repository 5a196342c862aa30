"""tumorlens: brain-tumour MRI classification with a tiny network and honest evaluation.

>>> import tumorlens
>>> model = tumorlens.load()            # doctest: +SKIP
>>> model.predict("slice.png").label    # doctest: +SKIP

Research software, not a medical device. Every name is imported on first use: this import is
fast, and only ``train`` needs torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tumorlens.api.answers import Answer, Answers
    from tumorlens.api.data import audit, manifest, split
    from tumorlens.api.model import Model, load
    from tumorlens.api.scores import Scores, evaluate
    from tumorlens.api.training import train

    __version__: str

__all__ = [
    "Answer",
    "Answers",
    "Model",
    "Scores",
    "__version__",
    "audit",
    "evaluate",
    "load",
    "manifest",
    "split",
    "train",
]
_HOMES: Final = {
    "Answer": "answers",
    "Answers": "answers",
    "Model": "model",
    "Scores": "scores",
    "audit": "data",
    "evaluate": "scores",
    "load": "model",
    "manifest": "data",
    "split": "data",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for; importlib.metadata alone costs a cold start 40 ms."""
    if name in _HOMES:
        return getattr(import_module(f"tumorlens.api.{_HOMES[name]}"), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("tumorlens")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
