"""tumorlens: brain-tumour MRI classification with a tiny network, measured honestly.

>>> import tumorlens
>>> classifier = tumorlens.load()            # doctest: +SKIP
>>> classifier.predict("slice.png").label    # doctest: +SKIP

Research software, not a medical device.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tumorlens.inference.classifier import Classifier

    __version__: str

__all__ = ["__version__", "load"]


def load(name_or_path: str | Path = "default", *, threads: int | None = None) -> "Classifier":
    """Load a classifier from a bundled network (``default``, ``folder``) or a bundle folder.

    ``threads`` is the number of CPU threads a forward pass may use; None lets the runtime choose.
    Raises ``errors.BundleError``.
    """
    from tumorlens import bundle
    from tumorlens.inference.classifier import Classifier

    return Classifier(bundle.load(name_or_path), threads=threads)


def __getattr__(name: str) -> str:
    """``__version__``, looked up when asked for: importlib.metadata costs a cold start 40 ms."""
    if name == "__version__":
        from importlib.metadata import version

        return version("tumorlens")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
