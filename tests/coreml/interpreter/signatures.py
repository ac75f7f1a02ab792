"""The table of operators: signatures as the documentation writes them, and the checks that they stand for.

A signature is written as `clip(x: T, alpha: const T, beta: const T) -> T`, with the types of `T` beside it:

- `x: T` has any rank; every parameter of type `T` has the same data type. `x: fp32` has that one.
- `const` parameters are known when the model is compiled: scalars (`const int32`), vectors (`const int32[]`) or of any
  rank (`const T[*]`). Scalars come to the function as Python numbers, strings and booleans.
- `values: T...` is a tuple.
- `= 0` is the default of an optional parameter.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tests.coreml.interpreter.datatypes import DTYPES, Array

__all__ = [
    "FLOAT",
    "INDEX",
    "NUMBER",
    "NUMBER_OR_BOOL",
    "OPERATORS",
    "SMALL",
    "Argument",
    "Operator",
    "ProgramError",
    "Typed",
    "UndocumentedError",
    "operator",
    "require",
]


class ProgramError(Exception):
    """The program breaks a rule of the documentation."""


class UndocumentedError(ProgramError):
    """The result depends on something that the documentation does not say."""


FLOAT: Final = ("fp16", "fp32")
NUMBER: Final = (*FLOAT, "int32")
NUMBER_OR_BOOL: Final = (*NUMBER, "bool")
SMALL: Final = ("int8", "uint8", "int16", "uint16")
INDEX: Final = ("int32", "int16", "uint16", "int8", "uint8")

_REQUIRED: Final = object()
_TYPES: Final = {bool: "bool", int: "int32", float: "fp32"}
"""What a default is where no argument tells its type."""

_PARAMETER: Final = re.compile(r"(\w+): (const )?(\w+)(\[\]|\[\*\]|\.\.\.)?(?: = (.+))?")


@dataclass(frozen=True, slots=True)
class Argument:
    """A value that is handed to an operator."""

    array: Array
    dtype: str
    const: bool


@dataclass(frozen=True, slots=True)
class Typed:
    """A result whose data type depends on an argument."""

    array: Array
    dtype: str


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    const: bool
    type: str
    rank: int | None
    many: bool
    default: Any

    def check(self, argument: Argument, allowed: Sequence[str]) -> None:
        if argument.dtype not in allowed:
            raise ProgramError(f"{self.name} has the type {argument.dtype}, not one of {', '.join(allowed)}")
        if self.const and not argument.const:
            raise ProgramError(f"{self.name} must be a constant")
        if self.rank is not None and argument.array.ndim != self.rank:
            raise ProgramError(f"{self.name} has the rank {argument.array.ndim}, not {self.rank}")

    def value(self, argument: Argument) -> Any:
        """The array, or for a constant scalar the Python value."""
        return argument.array.item() if self.const and self.rank == 0 else argument.array


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: what it takes, and the function that computes it."""

    name: str
    parameters: Mapping[str, Parameter]
    result: str | None
    types: Mapping[str, Sequence[str]]
    function: Callable[..., Any]
    since: int

    def bind(self, given: Mapping[str, Sequence[Argument]]) -> tuple[dict[str, Any], dict[str, str]]:
        """The arguments of the function, and the data type that each type variable stands for."""
        unknown = set(given) - set(self.parameters)
        if unknown:
            raise ProgramError(f"there is no parameter {', '.join(sorted(unknown))}")
        bound: dict[str, str] = {}
        arguments: dict[str, Any] = {}
        for name, parameter in self.parameters.items():
            if name not in given:
                if parameter.default is _REQUIRED:
                    raise ProgramError(f"{name} is missing")
                arguments[name] = parameter.default
                continue
            if not parameter.many and len(given[name]) != 1:
                raise ProgramError(f"{name} is {len(given[name])} values, not one")
            for argument in given[name]:
                parameter.check(argument, self.types.get(parameter.type, (parameter.type,)))
                if bound.setdefault(parameter.type, argument.dtype) != argument.dtype:
                    raise ProgramError(f"{name} is {argument.dtype}, and {bound[parameter.type]} is before it")
            values = [parameter.value(argument) for argument in given[name]]
            arguments[name] = values if parameter.many else values[0]
        for name, parameter in self.parameters.items():
            if name not in given and type(parameter.default) in _TYPES:
                bound.setdefault(parameter.type, _TYPES[type(parameter.default)])
        return arguments, bound


OPERATORS: Final[dict[str, list[Operator]]] = {}
"""Every version of each operator, by name."""


def operator(signature: str, since: int = 17, **types: Sequence[str]) -> Callable[[Callable[..., Any]], Any]:
    """Registers a function as the operator of a signature, in the version of iOS `since`."""
    match = re.fullmatch(r"(\w+)\((.*)\)(?: -> (\w+))?", signature)
    assert match, signature
    parameters = {}
    for text in re.split(r", (?=\w+: )", match[2]):
        parts = _PARAMETER.fullmatch(text)
        assert parts, text
        name, const, type, suffix, default = parts.groups()
        assert type in DTYPES or type in types, text
        rank = {None: 0 if const else None, "[]": 1}.get(suffix)
        value = _REQUIRED if default is None else ast.literal_eval(default)
        parameters[name] = Parameter(name, bool(const), type, rank, suffix == "...", value)

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        versions = OPERATORS.setdefault(match[1], [])
        assert all(other.since != since for other in versions), signature
        versions.append(Operator(match[1], parameters, match[3], types, function, since))
        return function

    return register


def require(condition: bool | np.bool_, message: str) -> None:
    """Raises `ProgramError` with `message` unless `condition` holds."""
    if not condition:
        raise ProgramError(message)
