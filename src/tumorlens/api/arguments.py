"""Check the arguments of public functions against their annotations.

Python passes on whatever it is given: a misspelt device would be the CPU, and zero epochs a
network that has learnt nothing.
"""

import functools
import inspect
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

import numpy as np
from msgspec import Meta

from tumorlens.errors import did_you_mean

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

Threads = Annotated[int, Meta(ge=1, le=1024)]
_TYPES: Final[Mapping[Any, Any]] = {
    int: Integral, float: Real, bool: bool | np.bool_,
    Sequence: Sequence | np.ndarray,
}  # fmt: skip
"""What is accepted for an annotation; for others the annotation itself."""
_WORDS: Final[Mapping[Any, str]] = {
    int: "a whole number", float: "a number", bool: "True or False", str: "text", Path: "a path",
    Sequence: "a sequence of numbers", Mapping: "a mapping", Callable: "a function",
    NoneType: "None",
}  # fmt: skip


def checked(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Refuse arguments that do not fit their annotations, before ``function`` does anything.

    Raises ``ValueError`` for a value that is not one of the choices, out of range or empty, and
    ``TypeError`` for a value of another type. Protocols are not checked.
    """
    signature = inspect.signature(function)
    hints = {
        name: _alternatives(parameter.annotation)
        for name, parameter in signature.parameters.items()
        if parameter.annotation is not parameter.empty
    }

    @functools.wraps(function)
    def call(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # the error of the call itself names the function
            return function(*args, **kwargs)
        for name in given.keys() & hints:
            _check(name, given[name], hints[name])
        return function(*args, **kwargs)

    return call


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _check(name: str, value: Any, accepted: Sequence[Any]) -> None:
    if any(_fits(value, hint) for hint in accepted):
        return
    if isinstance(value, str) and not value and str in accepted:
        raise ValueError(f"{name} is empty")
    words = " or ".join(map(_described, accepted))
    near = did_you_mean(value, _choices(accepted)) if isinstance(value, str) else ""
    kind = ValueError if any(_is_of_type(value, hint) for hint in accepted) else TypeError
    raise kind(f"{name} must be {words}, not {reprlib.repr(value)}{near}")


def _fits(value: Any, hint: Any) -> bool:
    if not _is_of_type(value, hint):
        return False
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is Annotated:
        least, most = _range(hint)
        return bool(least <= value and (most is None or value <= most))
    if get_origin(hint) is Sequence:
        return all(_fits(element, get_args(hint)[0]) for element in value)
    return hint is not str or value != ""


def _is_of_type(value: Any, hint: Any) -> bool:
    plain = _plain(hint)
    if plain is Any or getattr(plain, "_is_protocol", False):
        return True
    if plain in (int, float) and isinstance(value, bool):  # which Python counts as a number
        return False
    if plain is Sequence and (isinstance(value, str | bytes) or np.ndim(value) != 1):
        return False
    return isinstance(value, _TYPES.get(plain, plain))


def _plain(hint: Any) -> Any:
    """The class of an annotation, without its arguments."""
    origin = get_origin(hint)
    if origin is Literal:
        return str
    return get_args(hint)[0] if origin is Annotated else origin or hint


def _range(hint: Any) -> tuple[Any, Any]:
    """The least and the greatest value, or None, of an annotated number."""
    meta = hint.__metadata__[0]
    return meta.ge, meta.le


def _choices(accepted: Iterable[Any]) -> list[str]:
    return [name for hint in accepted if get_origin(hint) is Literal for name in get_args(hint)]


def _described(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    plain = _plain(hint)
    words = _WORDS.get(plain) or f"a {plain.__name__}"
    if get_origin(hint) is Annotated:
        least, most = _range(hint)
        words += f" of at least {least}" if most is None else f" from {least} to {most}"
    return words
