"""A node of a graph file as a call of the builder's method: which value is which operand, which option what."""

from __future__ import annotations

import base64
import binascii
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from webnn.errors import DataError, ValidationError
from webnn.formats.json_text import NUMBER_WORDS
from webnn.formats.webnn_text.document import Node
from webnn.graph.arguments import shown
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.naming import camel, snake
from webnn.graph.operand import MLOperand
from webnn.graph.operator import OPERATORS, operator_signature

__all__ = ["OPTION_NAMES", "Scope", "call"]

OPTION_NAMES: Final = {("cast", "data_type"): "to"}
"""Parameters whose option is not simply the parameter's name in camelCase."""

_OTHER_NAMES: Final = {("cast", "to"): "data_type", ("cast", "type"): "data_type"}
_FLAGS: Final = {"has_scale": "scale", "has_bias": "bias"}
"""Flags of older files that tell which optional operands are given by position."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The values that a node may refer to.

    Attributes:
        builder: where the operators are added.
        values: inputs, constants and the outputs of earlier nodes, by name.
        sizes: the sizes of dynamic dimensions, by name.
    """

    builder: MLGraphBuilder[Any]
    values: dict[str, MLOperand]
    sizes: Mapping[str, int]

    def operand(self, name: str, where: str) -> MLOperand:
        """The value called `name`; raises `DataError` if there is none yet."""
        found = self.values.get(name)
        if found is None:
            raise DataError(f"{where}: no input, constant or earlier node is called {shown(name)}")
        return found


def call(node: Node, scope: Scope) -> Sequence[MLOperand]:
    """Make the call that `node` stands for, and return its results.

    Raises:
        DataError: the operator, an operand or an option does not exist, or the builder refuses them.
    """
    operands = [scope.operand(name, node.place.of(f"inputs[{i}]")) for i, name in enumerate(node.inputs)]
    where = f"{node.place}: {shown(node.id)}"
    try:
        if not node.op:
            if len(operands) != 1:
                raise DataError(f"{node.place}: another name stands for one value, got {len(operands)}")
            return operands
        if node.op in _OUTSIDE:
            where += f": {node.op}"
            return [_OUTSIDE[node.op](scope.builder, operands, node.options)]
        op = snake(node.op)
        if op not in OPERATORS or camel(op) != node.op:
            raise DataError(f"{node.place}: unknown operator {shown(node.op)} of {shown(node.id)}")
        arguments = _arguments(op, node, operands, scope, where)
        result = getattr(scope.builder, op)(**arguments)
    except ValidationError as error:
        raise DataError(f"{where}: {error}") from None
    return [result] if isinstance(result, MLOperand) else list(result)


def _arguments(op: str, node: Node, operands: Sequence[MLOperand], scope: Scope, where: str) -> dict[str, Any]:
    parameters = operator_signature(op).parameters
    rows = [name for name in SPEC_LIMITS[op] if name in parameters]
    arguments: dict[str, Any] = {}
    absent = set()
    for key, value in node.options.items():
        name = snake(key)
        name = _OTHER_NAMES.get((op, name), name)
        at = node.place.of(f"options.{key}")
        if name in _FLAGS and _FLAGS[name] in rows and isinstance(value, bool):
            if not value:
                absent.add(_FLAGS[name])
        elif name == "batch_dimensions" and op in ("gather", "gather_elements") and value in (0, None):
            pass
        elif (
            name not in parameters
            or name in ("self", "inputs")
            or (name in rows and value is not None and _required(parameters[name]))
        ):
            known = [OPTION_NAMES.get((op, p), camel(p)) for p in parameters if p not in ("self", "inputs")]
            raise DataError(f"{at}: {node.op} has no option {shown(key)}; it has: {', '.join(known)}")
        elif value is None:
            continue
        elif name in rows:
            arguments[name] = _named_operand(value, scope, at)
        else:
            arguments[name] = value if name == "label" else _decoded(value, scope.sizes, at)
    if rows == ["inputs"]:
        return {"inputs": operands, **arguments}
    required = [name for name in rows if _required(parameters[name])]
    optional = [name for name in rows if name not in required and name not in arguments and name not in absent]
    if len(operands) < len(required) or len(operands) > len(required) + len(optional):
        expected = ", ".join(required) + (f" and optionally {', '.join(optional)}" if optional else "")
        raise DataError(f"{where}: {node.op} takes {expected}, got {len(operands)} operands")
    arguments.update(zip(required + optional, operands, strict=False))
    for name, parameter in parameters.items():
        if _required(parameter) and name not in (*arguments, "self"):
            raise DataError(f"{where}: {node.op}: the option {OPTION_NAMES.get((op, name), camel(name))} is missing")
    return arguments


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty


def _named_operand(value: object, scope: Scope, where: str) -> MLOperand:
    """An operand that is given as an option: by name, or by its number among those that its writer did not name."""
    if isinstance(value, str):
        return scope.operand(value.removeprefix("%"), where)
    if isinstance(value, int) and not isinstance(value, bool):
        return scope.operand(f"operand_{value}", where)
    raise DataError(f"{where}: expected the name of an operand, got {shown(value, 60)}")


def _decoded(value: Any, sizes: Mapping[str, int], where: str) -> Any:
    """The value of an option: `{name, maxSize}` becomes the dimension's size, the names of odd numbers numbers."""
    if isinstance(value, str):
        return NUMBER_WORDS.get(value, value)
    if isinstance(value, list):
        return [_decoded(item, sizes, where) for item in value]
    if isinstance(value, dict):
        name = value.get("name")
        if value.keys() != {"name", "maxSize"} or not isinstance(name, str) or name not in sizes:
            raise DataError(f"{where}: no dynamic dimension of an input is called {shown(name, 60)}")
        return sizes[name]
    return value


# Operators that files have and the specification does not.


def _constant(builder: MLGraphBuilder[Any], operands: Sequence[MLOperand], options: Mapping[str, Any]) -> MLOperand:
    _count(operands, 0)
    descriptor = MLOperandDescriptor(options.get("dataType"), options.get("shape"))  # type: ignore[arg-type]
    try:
        data = base64.b64decode(options.get("data", ""), validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValidationError(f"data must be base64: {error}") from None
    return builder.constant(descriptor, data)


def _global_pool(op: str) -> Callable[..., MLOperand]:
    def pool(builder: MLGraphBuilder[Any], operands: Sequence[MLOperand], options: Mapping[str, Any]) -> MLOperand:
        _count(operands, 1)
        result: MLOperand = getattr(builder, op)(
            operands[0], **{snake(key): value for key, value in _only(options, "layout", "label")}
        )
        return result

    return pool


def _squeeze(builder: MLGraphBuilder[Any], operands: Sequence[MLOperand], options: Mapping[str, Any]) -> MLOperand:
    _count(operands, 1)
    given = dict(_only(options, "axes", "label"))
    shape = operands[0].shape
    axes = given.get("axes")
    gone = [axis for axis, size in enumerate(shape) if size == 1] if axes is None else _axes(axes, len(shape))
    if any(shape[axis] != 1 for axis in gone):
        raise ValidationError(f"axes {gone} of {list(shape)} are not all of size 1")
    return builder.reshape(operands[0], [s for i, s in enumerate(shape) if i not in gone], label=given.get("label", ""))


def _unsqueeze(builder: MLGraphBuilder[Any], operands: Sequence[MLOperand], options: Mapping[str, Any]) -> MLOperand:
    _count(operands, 1)
    given = dict(_only(options, "axes", "label"))
    axes = given.get("axes")
    rank = operands[0].rank + (len(axes) if isinstance(axes, list) else 0)
    new = _axes(axes, rank)
    sizes = iter(operands[0].shape)
    return builder.reshape(
        operands[0], [1 if i in new else next(sizes) for i in range(rank)], label=given.get("label", "")
    )


def _shape(builder: MLGraphBuilder[Any], operands: Sequence[MLOperand], options: Mapping[str, Any]) -> MLOperand:
    _count(operands, 1)
    dict(_only(options, "label"))
    shape = operands[0].shape
    return builder.constant({"data_type": "int64", "shape": [len(shape)]}, list(shape))


_OUTSIDE: Final[dict[str, Callable[..., MLOperand]]] = {
    "constant": _constant,
    "globalAveragePool": _global_pool("average_pool2d"),
    "globalMaxPool": _global_pool("max_pool2d"),
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "shape": _shape,
}


def _count(operands: Sequence[MLOperand], expected: int) -> None:
    if len(operands) != expected:
        raise ValidationError(f"takes {expected} operands, got {len(operands)}")


def _only(options: Mapping[str, Any], *known: str) -> list[tuple[str, Any]]:
    for key in options:
        if key not in known:
            raise ValidationError(f"unknown option {shown(key)}; the options are {', '.join(known)}")
    return [(key, value) for key, value in options.items() if value is not None]


def _axes(axes: object, rank: int) -> list[int]:
    """Axes of a shape of `rank` dimensions; negative ones count from the end, as in ONNX."""
    if not isinstance(axes, list) or not all(type(axis) is int and -rank <= axis < rank for axis in axes):
        raise ValidationError(f"axes must be integers of {-rank} to {rank - 1}, got {shown(axes, 60)}")
    resolved = [axis % rank for axis in axes]
    if len(set(resolved)) != len(resolved):
        raise ValidationError(f"axes {axes} name one axis twice")
    return resolved
