"""Errors for names, arguments and functions of other libraries: they say what to write here.

The names are class attributes that raise `AttributeError`. A method `__getattr__` would do with less, but a class that
has one makes Python look up every attribute of its instances the slow way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

from webnn.forking import import_lock
from webnn.graph.naming import camel, snake
from webnn.graph.other_names import ARGUMENTS, VALUES

__all__ = ["explained", "misuse", "named_elsewhere", "names_in_camel_case", "without_operators"]

C = TypeVar("C", bound=type)
P = ParamSpec("P")
R = TypeVar("R")

_MANY: Final = 10
"""Of a call with more parameters, only the names are shown."""
_OPERATORS: Final = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")


class _Elsewhere:
    """A name that this class does not have, with what to write instead."""

    __slots__ = ("_hint", "_name")

    def __init__(self, name: str, hint: str) -> None:
        self._name = name
        self._hint = hint

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__} has no attribute {self._name!r}: {self._hint}")


def named_elsewhere(hints: Mapping[str, str]) -> Callable[[C], C]:
    """A decorator for classes: asking for one of these names raises `AttributeError` with the hint.

    `hasattr` is False for them, and `dir` of an instance does not list them.
    """

    def add(cls: C) -> C:
        for name, hint in hints.items():
            setattr(cls, name, _Elsewhere(name, hint))

        def own_names(self: object) -> list[str]:
            return [name for name in object.__dir__(self) if name not in hints]

        setattr(cls, "__dir__", own_names)  # noqa: B010  # mypy refuses the assignment
        return cls

    return add


def names_in_camel_case(names: Sequence[str], kind: str) -> dict[str, str]:
    """Hints for the specification's spelling of `names`, the methods of a `kind`."""
    return {camel(name): f"write {kind}.{name}" for name in names if camel(name) != name}


def without_operators(refuse: Callable[[Any], NoReturn]) -> Callable[[C], C]:
    """A decorator for classes of handles: Python's operators, indices and `float()` call `refuse(handle)`."""

    def add(cls: C) -> C:
        def refused(self: Any, *_: object) -> NoReturn:
            refuse(self)

        for name in _OPERATORS:
            setattr(cls, f"__{name}__", refused)
            setattr(cls, f"__r{name}__", refused)
        for name in ("neg", "abs", "float", "int", "getitem", "setitem", "lt", "le", "gt", "ge"):
            setattr(cls, f"__{name}__", refused)
        return cls

    return add


def misuse(call: str, signature: inspect.Signature, args: Sequence[object], kwargs: Mapping[str, object]) -> str | None:
    """A message for arguments that do not fit `signature`; None if they do."""
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        reason = str(error)
    else:
        return None
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    names = [parameter.name for parameter in parameters]
    unknown = [_unknown(name, names) for name in kwargs if name not in names]
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if call == "create_context" and not unknown:
        reason += _option_for(args[len(signature.parameters) - len(parameters) + len(by_position) :])
    return f"{call}: {'; '.join(unknown) or reason}; the call is {call}({_shown(parameters)})"


def _option_for(extra: Sequence[object]) -> str:
    """The option of a context that one value without a name is meant for, as in `create_context("gpu")`."""
    if len(extra) != 1 or not isinstance(extra[0], str):
        return ""
    value = VALUES.get(extra[0], extra[0])
    if value in ("cpu", "gpu", "npu"):
        return f"; write device_type={value!r}"
    return f"; write {'power_preference' if value in ('low-power', 'high-performance') else 'backend'}={value!r}"


def _unknown(name: str, names: Sequence[str]) -> str:
    with import_lock:  # here, since it is slow to import
        from difflib import get_close_matches  # noqa: PLC0415

    candidates = (snake(name), *ARGUMENTS.get(name, ()), *get_close_matches(name, names, 1))
    ours = next((candidate for candidate in candidates if candidate in names), None)
    return f"there is no argument {name!r}" + ("" if ours is None else f", write {ours}=")


def _shown(parameters: Sequence[inspect.Parameter]) -> str:
    shown: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        given = parameter.default is parameter.empty or len(parameters) > _MANY
        default = "" if given else f"={parameter.default!r}"
        star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        shown.append(f"{star}{parameter.name}{default}")
    return ", ".join(shown)


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator for functions that are not called often: arguments that do not fit raise `TypeError` with a hint."""
    name = function.__name__
    if name == "__init__":
        name = function.__qualname__.split(".")[-2]

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            problem = misuse(name, inspect.signature(function), args, kwargs)
            if problem is None:
                raise
            raise TypeError(problem) from None

    return call
