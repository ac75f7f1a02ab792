"""The walk over the operations of a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from tests.coreml.interpreter import (  # noqa: F401
    activation,
    convolution,
    elementwise,
    gathering,
    linear,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    resizing,
    shapes,
    tensors,
)
from tests.coreml.interpreter.datatypes import DTYPES, Array, ValueType
from tests.coreml.interpreter.package import Package, value_type
from tests.coreml.interpreter.signatures import (
    OPERATORS,
    Argument,
    Operator,
    ProgramError,
    Typed,
    UndocumentedError,
)

__all__ = ["MAX_RANK", "run"]

MAX_RANK: Final = 5


def run(package: Package, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of the model, by name.

    Raises:
        ProgramError: The program or the inputs break a rule; the message names the operation.
    """
    values = {}
    declared = {message.name: value_type(message.type) for message in package.function.inputs}
    if set(inputs) != set(declared):
        raise ProgramError(f"the inputs are {sorted(inputs)}, the model has {sorted(declared)}")
    for name, wanted in declared.items():
        array = np.asarray(inputs[name])
        if array.dtype != DTYPES[wanted.dtype] or array.shape != wanted.shape:
            raise ProgramError(f"the input {name} is {array.dtype}{list(array.shape)}, declared is {wanted}")
        values[name] = Argument(array, wanted.dtype, const=False)
    for operation in package.block.operations:
        names = [output.name for output in operation.outputs]
        try:
            results = _results(package, operation, values)
            for output, result in zip(operation.outputs, results, strict=True):
                _check(result, value_type(output.type))
                if output.name in values:
                    raise ProgramError("a value of this name is there already")
                values[output.name] = result
        except ProgramError as error:
            raise type(error)(f"{operation.type} {', '.join(names)}: {error}") from None
    return {name: values[name].array for name in package.block.outputs}


def _results(package: Package, operation: Any, values: Mapping[str, Argument]) -> list[Argument]:
    if operation.blocks:
        raise ProgramError("it has blocks of its own")
    if operation.type == "const":
        if operation.inputs or "val" not in operation.attributes:
            raise ProgramError("a const has the attribute val and no inputs")
        return [_constant(package, operation.attributes["val"])]
    operator = _operator(operation.type, package.version)
    compile_time = operation.type.startswith("constexpr_")
    if compile_time:  # they keep their inputs as attributes, and give constants
        if operation.inputs:
            raise ProgramError("it is computed when the model is compiled, and has inputs")
        given = {name: [_constant(package, value)] for name, value in operation.attributes.items() if name != "name"}
    else:
        given = {
            name: [_argument(package, binding, values) for binding in argument.arguments]
            for name, argument in operation.inputs.items()
        }
        if set(operation.attributes) - {"name"}:
            raise ProgramError(f"it has the attributes {sorted(operation.attributes)}")
    return [replace(result, const=compile_time) for result in _computed(operator, given, len(operation.outputs))]


def _constant(package: Package, value: Any) -> Argument:
    type, array = package.constant(value)
    return Argument(array, type.dtype, const=True)


def _operator(name: str, version: int) -> Operator:
    versions = [operator for operator in OPERATORS.get(name, ()) if operator.since <= version]
    if not versions:
        raise ProgramError(f"iOS {version} has no operator of this name that the interpreter knows")
    return max(versions, key=lambda operator: operator.since)


def _argument(package: Package, binding: Any, values: Mapping[str, Argument]) -> Argument:
    if binding.WhichOneof("binding") == "value":
        return _constant(package, binding.value)
    if binding.name not in values:
        raise ProgramError(f"the value {binding.name} is not computed before it")
    return values[binding.name]


def _computed(operator: Operator, given: Mapping[str, list[Argument]], count: int) -> list[Argument]:
    arguments, bound = operator.bind(given)
    with np.errstate(all="ignore"):
        results = operator.function(**arguments)
    results = results if isinstance(results, list) else [results]
    if len(results) != count:
        raise ProgramError(f"it gives {len(results)} results, {count} are declared")
    return [_argument_of(operator, result, bound) for result in results]


def _argument_of(operator: Operator, result: Typed | Array, bound: Mapping[str, str]) -> Argument:
    if not isinstance(result, Typed):
        assert operator.result is not None, operator.name
        result = Typed(result, bound.get(operator.result, operator.result))
    return Argument(_rounded(np.asarray(result.array), result.dtype), result.dtype, const=False)


def _rounded(array: Array, dtype: str) -> Array:
    """The result in its data type: floats are rounded; integers and booleans must be what they are."""
    wanted = DTYPES[dtype]
    if wanted.kind == "f":
        with np.errstate(all="ignore"):
            return array.astype(wanted)
    if wanted.kind in "iu" and array.dtype != wanted:
        if array.dtype.kind == "f" and not np.all(np.isfinite(array) & (array == np.floor(array))):
            raise UndocumentedError(f"the result has values that {dtype} does not: how they are rounded is not said")
        limits = np.iinfo(wanted)
        if np.any(array < limits.min) or np.any(array > limits.max):
            raise UndocumentedError(f"the result leaves the range of {dtype}")
        return array.astype(wanted)
    assert array.dtype == wanted, (array.dtype, dtype)
    return array


def _check(result: Argument, declared: ValueType) -> None:
    found = ValueType(result.dtype, result.array.shape)
    if found != declared:
        raise ProgramError(f"the result is {found}, declared is {declared}")
    if len(found.shape) > MAX_RANK:
        raise ProgramError(f"the result has the rank {len(found.shape)}, {MAX_RANK} is the highest")
    if 0 in found.shape:
        raise ProgramError(f"the result {found} has no elements")
