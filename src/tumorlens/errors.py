"""All errors that tumorlens raises on purpose.

Each carries a ``kind``, a stable word for programs, and a message for people that says what is
wrong, where, and what to do. The command line turns them into one line and an exit code.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import EADDRINUSE
from typing import ClassVar, Final

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_SOME_INPUTS_FAILED: Final = 3
EXIT_BUNDLE_UNUSABLE: Final = 4
EXIT_MISSING_EXTRA: Final = 5
EXIT_DATA_UNUSABLE: Final = 6
EXIT_RUN_UNUSABLE: Final = 7
EXIT_CHECK_FAILED: Final = 8
EXIT_INTERRUPTED: Final = 130
"""What a shell reports for a program that Ctrl-C ended: 128 + SIGINT."""
EXIT_CODES: Final = {
    EXIT_OK: "success",
    EXIT_FAILURE: "failed for another reason: a full disk, a port in use, a lost connection",
    EXIT_USAGE: "wrong usage, or the output already exists",
    EXIT_SOME_INPUTS_FAILED: "some inputs could not be used; the others have an answer",
    EXIT_BUNDLE_UNUSABLE: "the bundle cannot be used",
    EXIT_MISSING_EXTRA: "an optional part is not installed",
    EXIT_DATA_UNUSABLE: "a manifest, a split or a folder of images cannot be used",
    EXIT_RUN_UNUSABLE: "a recipe, a checkpoint or a run cannot be used",
    EXIT_CHECK_FAILED: "a check failed: a split leaks, or a bundle does not fit the evaluation",
    EXIT_INTERRUPTED: "interrupted",
}
"""The one table of exit codes: of all commands, their help and their documentation."""


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
    """The image carries no information: constant, or nothing but non-finite values."""

    kind = "blank"


class NotMRError(InputError):
    """The file is medical but not magnetic resonance, for which the network was not trained."""

    kind = "not_mr"


class MissingDecoderError(InputError):
    """The pixels are compressed in a way that needs an optional part; the message names it."""

    kind = "missing_decoder"


class VolumeError(InputError):
    """A volume where a single image is needed."""

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
    exit_code = EXIT_DATA_UNUSABLE


class DatasetError(TumorlensError):
    """A folder is not the data set it is said to be."""

    kind = "dataset"
    exit_code = EXIT_DATA_UNUSABLE


class SplitError(TumorlensError):
    """A split file is damaged, does not fit the manifest, or lets a group cross."""

    kind = "split"
    exit_code = EXIT_DATA_UNUSABLE


class LeakError(SplitError):
    """A split leaks, or cannot be checked, where that was to be an error."""

    kind = "leak"
    exit_code = EXIT_CHECK_FAILED


class EvaluationError(TumorlensError):
    """Bundles and images do not match the requested protocol."""

    kind = "evaluation"
    exit_code = EXIT_CHECK_FAILED


class RecipeError(TumorlensError):
    """A training recipe cannot be read or is contradictory."""

    kind = "recipe"
    exit_code = EXIT_RUN_UNUSABLE


class CheckpointError(TumorlensError):
    """A checkpoint is damaged or belongs to another run."""

    kind = "checkpoint"
    exit_code = EXIT_RUN_UNUSABLE


class BundleError(TumorlensError):
    """A model bundle is missing, damaged, or of an unknown format version."""

    kind = "bundle"
    exit_code = EXIT_BUNDLE_UNUSABLE


class OutputExistsError(TumorlensError):
    """The output already exists, and would be overwritten."""

    kind = "output_exists"
    exit_code = EXIT_USAGE


class AddressError(TumorlensError):
    """A server cannot listen where it should."""

    kind = "address"

    @classmethod
    def for_port(cls, host: str, port: int, option: str, error: OSError) -> "AddressError":
        """Say why ``host`` and ``port``, which ``option`` chooses, cannot be listened on."""
        if error.errno == EADDRINUSE:
            return cls(
                f"port {port} of {host} is in use: another program listens there. "
                f"Choose another with {option}, or 0 for any free one"
            )
        return cls(f"cannot listen on port {port} of {host} ({error.strerror})")


class DeviceError(TumorlensError):
    """A GPU was asked for, and there is none that can be used."""

    kind = "device"
    exit_code = EXIT_MISSING_EXTRA


class MissingExtraError(TumorlensError):
    """An optional dependency is not installed; the message names the extra."""

    kind = "missing_extra"
    exit_code = EXIT_MISSING_EXTRA

    def __init__(self, what: str, extra: str) -> None:
        """Say that ``what`` needs ``extra``, and the command that installs it."""
        super().__init__(f"{what} needs an optional part: {install_command(extra)}")


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """For imports that need ``extra``, for ``what``; raises ``MissingExtraError``."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(what, extra) from error


def install_command(extra: str, *, show_folder: bool = True) -> str:
    """The command that adds ``extra`` to this installation, from a clone or a package index.

    Without ``show_folder`` it is to be run in the clone, whose folder a server does not reveal.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        stated = distribution("tumorlens").read_text("direct_url.json")
    except PackageNotFoundError:
        stated = None
    return f"pip install {_requirement(extra, stated, show_folder=show_folder)}"


def _requirement(extra: str, direct_url: str | None, *, show_folder: bool) -> str:
    """``direct_url``: what pip recorded of where the package came from (PEP 610)."""
    import json
    import shlex
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    if direct_url is None:
        return f"'tumorlens[{extra}]'"
    facts = json.loads(direct_url)
    if "dir_info" in facts:
        folder = url2pathname(urlsplit(facts["url"]).path) if show_folder else "."
        editable = "-e " if facts["dir_info"].get("editable") else ""
        where = "" if show_folder else " in the clone of tumorlens"
        return f"{editable}{shlex.quote(f'{folder}[{extra}]')}{where}"
    scheme = f"{facts['vcs_info']['vcs']}+" if "vcs_info" in facts else ""
    return f"'tumorlens[{extra}] @ {scheme}{facts['url']}'"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean NAME?`` with the nearest of ``known``, or nothing where none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
