"""The definition of an operator: a method, with its rows of the tensor limits above it.

::

    class Matrix(Operators):
        @operator(a=Limits(FLOATS, rank=2), b=Limits(same_as="a", rank=2), ..., output=Limits(same_as="a", rank=2))
        def gemm(self, a: MLOperand, b: MLOperand, *, alpha: float = 1.0, label: str = "") -> MLOperand:
            ...validate the rest, and raise ValidationError("the reason")...
            descriptor = MLOperandDescriptor(a.data_type, shape)
            return self._add("gemm", {"a": a, "b": b}, descriptor, label=label, alpha=alpha)

Before the method runs, the decorator checks that the builder has not built yet, that every operand belongs to this
builder, that its data type and rank are within the limits of the backend, and that data types that must be the same
are. It puts `[label] operator: ` in front of every error, so that the method's messages give only the reason.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from types import FunctionType
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar, cast

from webnn.errors import InvalidStateError, ValidationError
from webnn.graph.arguments import printable, shown
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Attribute, Node, Operands
from webnn.graph.limits import SPEC_LIMITS, Limits, LimitsTable
from webnn.graph.operand import MLOperand
from webnn.graph.spelling import misuse

__all__ = ["OPERATORS", "Operators", "default_label", "operator", "operator_signature"]

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Operators")

OPERATORS: Final[dict[str, FunctionType]] = {}
"""The method of every operator, by its name. The `operator` decorator fills it."""


@functools.cache
def operator_signature(op: str) -> inspect.Signature:
    """The parameters of an operator's method, `self` first."""
    return inspect.signature(OPERATORS[op])


class Host(Protocol):
    """The part of a context that operators use."""

    @property
    def limits(self) -> LimitsTable:
        """The limits of the context's backend."""
        ...

    @property
    def composites(self) -> Collection[str]:
        """The composites that the context's backend takes as they are. See `webnn.graph.composites`."""
        ...


class Operators:
    """The base of the operator families. They all add nodes with `_add` or `_add_many`."""

    _host: Host
    _owner: object
    _default_label = ""

    def _check_can_build(self) -> None:
        raise NotImplementedError

    def _add(
        self,
        op: str,
        operands: Mapping[str, MLOperand | Sequence[MLOperand] | None],
        output: MLOperandDescriptor,
        /,
        *,
        label: str,
        **attributes: Attribute,
    ) -> MLOperand:
        """Add a node with one output. An operand that is None was not given."""
        return self._node(op, operands, (output,), label, attributes).outputs[0]

    def _add_many(
        self,
        op: str,
        operands: Mapping[str, MLOperand | Sequence[MLOperand] | None],
        outputs: Sequence[MLOperandDescriptor],
        /,
        *,
        label: str,
        **attributes: Attribute,
    ) -> list[MLOperand]:
        """Add a node with several outputs."""
        return list(self._node(op, operands, outputs, label, attributes).outputs)

    def _node(
        self,
        op: str,
        operands: Mapping[str, MLOperand | Sequence[MLOperand] | None],
        outputs: Sequence[MLOperandDescriptor],
        label: str,
        attributes: Mapping[str, Attribute],
    ) -> Node:
        rows = self._host.limits[op]
        shared = rows.get("output") or rows.get("outputs")
        for i, descriptor in enumerate(outputs):
            row = shared or rows.get(f"output{i}")
            if row is not None:
                _check_descriptor("output", descriptor, row)
        given: dict[str, Operands] = {}
        for name, operand in operands.items():
            if operand is not None:
                given[name] = operand if isinstance(operand, MLOperand) else tuple(operand)
        return Node(op, given, attributes, label or self._default_label, outputs=outputs, owner=self._owner)


def default_label(builder: Operators, label: str) -> AbstractContextManager[None]:
    """Give `label` to the operators that `builder` adds meanwhile without a label of their own.

    An inner default hides an outer one. Error messages show only labels that the call was given.
    """
    return _DefaultLabel(builder, label)


class _DefaultLabel(AbstractContextManager[None]):
    """A class, since an import enters one for each node: a generator takes three times as long."""

    __slots__ = ("_builder", "_label", "_outer")

    def __init__(self, builder: Operators, label: str) -> None:
        self._builder = builder
        self._label = label

    def __enter__(self) -> None:
        self._outer = self._builder._default_label
        self._builder._default_label = self._label

    def __exit__(self, *_: object) -> None:
        self._builder._default_label = self._outer


def operator(**rows: Limits) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Define an operator by a method and its rows of the tensor limits. See the documentation of this module."""

    def define(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        op = method.__name__
        OPERATORS[op] = plain = cast("FunctionType", method)
        SPEC_LIMITS[op] = {name: row.resolved(rows) for name, row in rows.items()}
        code = plain.__code__
        names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        without_default = {*names[: code.co_argcount - 1 - len(plain.__defaults__ or ())]}
        operands = [(name, names.index(name), name not in without_default) for name in rows if name in names]

        @functools.wraps(method)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            label = kwargs.get("label", "")
            try:
                if not isinstance(label, str):
                    raise ValidationError(f"label must be a string, got {shown(label)}")
                self._check_can_build()
                limits = self._host.limits[op]
                owner = self._owner
                types: dict[str, MLOperand] = {}
                for name, position, optional in operands:
                    value = args[position] if position < len(args) else kwargs.get(name)
                    if value is None:
                        if optional:
                            continue
                        if position >= len(args) and name not in kwargs:
                            break  # the call below raises Python's TypeError for a missing argument
                    if isinstance(value, MLOperand) and name != "inputs":
                        _check_operand(name, value, owner, limits[name], types)
                        types[name] = value
                    elif isinstance(value, list | tuple) and name == "inputs":
                        for i, item in enumerate(value):
                            _check_operand(f"inputs[{i}]", item, owner, limits[name], types)
                    else:
                        expected = "a list of MLOperands" if name == "inputs" else "an MLOperand"
                        hint = f"; write {op}([a, b])" if name == "inputs" and isinstance(value, MLOperand) else ""
                        raise ValidationError(f"{name} must be {expected}, got {_kind(value)}{hint}")
                return method(self, *args, **kwargs)
            except (ValidationError, InvalidStateError) as error:
                where = f"[{printable(label)}] {op}" if isinstance(label, str) and label else op
                raise type(error)(f"{where}: {error}") from None
            except TypeError:
                problem = misuse(op, operator_signature(op), (self, *args), kwargs)
                if problem is None:
                    raise
                raise TypeError(problem) from None

        return call

    return define


def _check_operand(name: str, operand: object, owner: object, row: Limits, types: Mapping[str, MLOperand]) -> None:
    if not isinstance(operand, MLOperand):
        raise ValidationError(f"{name} must be an MLOperand, got {_kind(operand)}")
    if operand.owner is not owner:
        raise ValidationError(f"{name} belongs to another builder; operands cannot be shared between builders")
    _check_descriptor(name, operand.descriptor, row)
    if row.same_as is not None and row.same_as in types:
        other = types[row.same_as]
        if other.data_type != operand.data_type:
            raise ValidationError(
                f"{name} is {operand.data_type}, but must have the data type of {row.same_as}, {other.data_type};"
                f" convert it: builder.cast({name}, {other.data_type!r})"
            )


def _check_descriptor(name: str, descriptor: MLOperandDescriptor, row: Limits) -> None:
    if descriptor.data_type not in row.types and descriptor.data_type not in row.ours:
        expected = f"must be {' or '.join(row.allowed)}" if row.allowed else "this backend supports no data type for it"
        hint = f"; convert it: builder.cast({name}, {row.allowed[0]!r})" if row.allowed and name != "output" else ""
        raise ValidationError(f"{name} is {descriptor.data_type}, but {expected}{hint}")
    low, high = row.ranks
    if not low <= len(descriptor.shape) <= high:
        ranks = f"{low}" if low == high else f"{low} to {high}"
        shape = list(descriptor.shape)
        raise ValidationError(f"{name} {shape} has rank {len(shape)}, but must have rank {ranks}")


def _kind(value: object) -> str:
    """A value that is not an operand, and how to make one of it."""
    if isinstance(value, bool | str | Mapping | MLOperand):
        hint = ""
    elif isinstance(value, int | float):
        hint = f"; write builder.constant('float32', {value!r}), or use Python's operators, which take numbers"
    elif hasattr(value, "_constant_for"):  # a tensor, whose class is above this package
        hint = "; tensors are for dispatch: make an operand with builder.input"
    elif hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
        hint = "; write builder.constant(array)"
    else:
        hint = ""
    return f"{type(value).__name__} {shown(value, 40)}{hint}"
