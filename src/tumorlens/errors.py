"""All errors that tumorlens raises on purpose.

Each carries a ``kind``, a stable word for programs, and a message for people that says what is
wrong, where, and what to do. The command line turns them into one line and an exit code.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar, Final

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_SOME_INPUTS_FAILED: Final = 3
EXIT_BUNDLE_UNUSABLE: Final = 4


class TumorlensError(Exception):
    """Base of all errors raised on purpose. ``str(error)`` is one line for a person."""

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = EXIT_FAILURE


class InputError(TumorlensError):
    """One input cannot be used; other inputs are not affected."""

    kind = "input"
    exit_code = EXIT_SOME_INPUTS_FAILED


class MissingInputError(InputError):
    """The path does not exist or cannot be opened."""

    kind = "missing"


class UnsupportedFormatError(InputError):
    """The bytes are not those of any format that tumorlens reads."""

    kind = "unsupported_format"


class CorruptInputError(InputError):
    """The format is known but the bytes are damaged, truncated or self-contradictory."""

    kind = "corrupt"


class LimitExceededError(InputError):
    """The input is larger (or smaller) than the documented limits."""

    kind = "limit"


class BlankImageError(InputError):
    """The picture carries no information: constant, or nothing but non-finite values."""

    kind = "blank"


class NotMRError(InputError):
    """The file is medical but not magnetic resonance, for which the network was not trained."""

    kind = "not_mr"


class MissingDecoderError(InputError):
    """The pixels are compressed in a way that needs an optional part; the message names it."""

    kind = "missing_decoder"


class VolumeError(InputError):
    """A volume where a single picture is needed."""

    kind = "volume"


class DeadlineError(InputError):
    """Reading took longer than allowed and was stopped."""

    kind = "deadline"


class CrashedError(InputError):
    """Reading ended the process that read it: a decoder crashed or ran out of memory."""

    kind = "crashed"


class BatchError(TumorlensError):
    """A batch cannot go on: its folder holds something else, or cannot be written."""

    kind = "batch"


class ManifestError(TumorlensError):
    """A manifest is missing, malformed, or contradicts the files it lists."""

    kind = "manifest"


class DatasetError(TumorlensError):
    """A folder is not the data set it is said to be."""

    kind = "dataset"


class SplitError(TumorlensError):
    """A split file is damaged, does not fit the manifest, or lets a group cross."""

    kind = "split"


class EvaluationError(TumorlensError):
    """Bundles and images do not match the requested protocol."""

    kind = "evaluation"


class RecipeError(TumorlensError):
    """A training recipe cannot be read or is contradictory."""

    kind = "recipe"


class CheckpointError(TumorlensError):
    """A checkpoint is damaged or belongs to another run."""

    kind = "checkpoint"


class BundleError(TumorlensError):
    """A model bundle is missing, damaged, or of an unknown format version."""

    kind = "bundle"
    exit_code = EXIT_BUNDLE_UNUSABLE


class MissingExtraError(TumorlensError):
    """An optional dependency is not installed; the message names the extra."""

    kind = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        """Say that ``what`` needs ``pip install 'tumorlens[extra]'``."""
        super().__init__(f"{what} needs an optional part: pip install 'tumorlens[{extra}]'")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about a mistyped ``name``: the nearest known one, or nothing."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
