"""The arguments of a context's methods: their several forms, and the errors for those that are not valid.

`dispatch`, `write_tensor` and `read_tensor` are called often, so they only detect that an argument is not valid. The
functions here then find the reason and raise it.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NoReturn

import numpy as np

from webnn.errors import DestroyedError, InvalidStateError, MLError, ValidationError
from webnn.graph.arguments import boolean, number, printable, shown
from webnn.graph.arrays import array_from, is_array
from webnn.graph.builder import descriptor_from
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DataTypeLike, data_type_of
from webnn.memory.pool import Shelf
from webnn.runtime.device import Device
from webnn.runtime.graph import MLGraph
from webnn.runtime.tensor import MLTensor
from webnn.scheduler.bridge import current_task

__all__ = [
    "check_graph",
    "check_not_recording",
    "check_tensor",
    "constant_arguments",
    "dispatch_error",
    "feeds",
    "recorder",
    "seconds",
    "tensor_arguments",
    "writable_array",
]


_BETWEEN_CONTEXTS: Final = "; read it there, and write the array to a tensor of this context"


def tensor_arguments(
    shape: Any, data_type: DataTypeLike | None, readable: bool, writable: bool
) -> tuple[MLOperandDescriptor, np.ndarray[Any, Any] | None, bool, bool]:
    """The arguments of `create_tensor` as a descriptor, the elements if they are given, `readable` and `writable`."""
    array: np.ndarray[Any, Any] | None = None
    try:
        if isinstance(shape, Mapping):  # the specification's form: everything in one dictionary
            shape = dict(shape)
            readable, writable = shape.pop("readable", readable), shape.pop("writable", writable)
        if data_type is None and isinstance(shape, bytes | bytearray):
            raise ValidationError(
                "bytes have no shape and data type: write np.frombuffer(data, data_type).reshape(shape)"
            )
        if data_type is None and is_array(shape):
            array = array_from(shape)
            descriptor = MLOperandDescriptor(array.dtype, array.shape)
        else:
            descriptor = descriptor_from(shape, data_type)
        if descriptor.data_type in ("int4", "uint4"):
            raise ValidationError(f"{descriptor.data_type} is for constants only")
        boolean("readable", readable)
        boolean("writable", writable)
    except ValidationError as error:
        raise ValidationError(f"create_tensor: {error}") from None
    return descriptor, array, readable, writable


def constant_arguments(args: Sequence[Any]) -> tuple[MLOperandDescriptor, np.ndarray[Any, Any]]:
    """The arguments of `create_constant_tensor` as a descriptor and an array that fits it."""
    try:
        if len(args) == 1:
            array = array_from(args[0])
            descriptor = MLOperandDescriptor(data_type_of(array.dtype), array.shape)
        elif len(args) in (2, 3):
            descriptor = descriptor_from(*args[:-1])
            array = array_from(args[-1], descriptor)
        else:
            raise ValidationError("takes an array, a descriptor and data, or a shape, a data type and data")
    except ValidationError as error:
        raise ValidationError(f"create_constant_tensor: {error}") from None
    return descriptor, array


def feeds(
    device: Device, call: str, graph: MLGraph, inputs: Mapping[str, Any]
) -> list[tuple[Shelf, np.ndarray[Any, Any]]]:
    """The inputs of `run`, `compute` and `stream` as arrays, in the order of the graph's inputs."""
    found: list[tuple[Shelf, np.ndarray[Any, Any]]] = []
    if (
        graph.__class__ is MLGraph
        and graph._device is device
        and not graph._destroyed
        and inputs.__class__ is dict
        and len(inputs) == len(graph._feeds)
    ):
        for name, shelf, dtype, shape in graph._feeds:
            data = inputs.get(name)
            if data.__class__ is not np.ndarray or data.dtype is not dtype or data.shape != shape:
                break
            found.append((shelf, data))
        else:
            return found
        found.clear()
    check_graph(device, call, graph)
    try:
        if not isinstance(inputs, Mapping):
            if len(graph._input_shelves) != 1:
                names = ", ".join(repr(printable(name)) for name in graph.inputs) or "none"
                raise ValidationError(
                    f"inputs must be a mapping of names to arrays, got {type(inputs).__name__}; the graph has {names}"
                )
            inputs = {graph._input_shelves[0][0]: inputs}  # the graph has one input, which need not be named
        elif unread := graph.unread_inputs:
            inputs = {name: given for name, given in inputs.items() if name not in unread}
        if len(inputs) != len(graph._feeds) or any(name not in inputs for name, _ in graph._input_shelves):
            raise ValidationError(_wrong_names("input", graph.inputs, inputs))
        for name, shelf in graph._input_shelves:
            try:
                found.append((shelf, array_from(inputs[name], shelf.descriptor)))
            except ValidationError as error:
                raise ValidationError(f"input {printable(name)!r}: {error}") from None
    except ValidationError as error:
        raise ValidationError(f"{call}: {error}") from None
    return found


def recorder() -> Hashable:
    """Identifies the caller's thread and, on an event loop, its task: only its dispatches are recorded."""
    return threading.get_ident(), current_task()


def check_not_recording(recorders: Container[Hashable], call: str) -> None:
    """Raise if the caller is one of the `recorders` of a context, which record dispatches."""
    if recorder() in recorders:
        raise InvalidStateError(
            f"{call}: in a block of record() only dispatches are possible; call {call} before or after the block"
        )


def check_graph(device: Device, call: str, graph: object) -> None:
    """Raise if `graph` cannot be run on `device`."""
    if not isinstance(graph, MLGraph):
        order = "graph, inputs, outputs" if call == "dispatch" else "graph, inputs"
        hint = f"; write {call}({order})" if call in ("run", "compute", "dispatch") else ""
        if hint and (graph is None or isinstance(graph, list | tuple)):
            hint += ", which gives all outputs by their names"
        raise ValidationError(f"{call}: graph must be an MLGraph, got {type(graph).__name__}{hint}")
    if graph._device is not device:
        raise ValidationError(
            f"{call}: {graph!r} belongs to another context, graph.context; load or build it for this one"
        )
    device.check_not_lost()
    if graph._destroyed:
        raise InvalidStateError(f"{call}: {graph!r} was destroyed")


def check_tensor(device: Device, call: str, tensor: object, needed: Literal["readable", "writable"]) -> None:
    """Raise if `tensor` cannot be read or written on `device`."""
    if not isinstance(tensor, MLTensor):
        hint = f"; write {call}(tensor, data)" if call == "write_tensor" else f"; write {call}(tensor)"
        raise ValidationError(f"{call}: expected an MLTensor, got {type(tensor).__name__}{hint}")
    if tensor._device is not device:
        raise ValidationError(f"{call}: {tensor!r} belongs to another context{_BETWEEN_CONTEXTS}")
    try:
        tensor._check_alive()
    except DestroyedError as error:
        raise DestroyedError(f"{call}: {error}") from None
    if needed == "writable" and not tensor._writable:
        raise ValidationError(f"{call}: {tensor!r} is not writable: create it with writable=True")
    if needed == "readable" and not tensor.readable:
        raise ValidationError(f"{call}: {tensor!r} is not readable: create it with readable=True")


def dispatch_error(device: Device, graph: MLGraph, inputs: object, outputs: object) -> MLError:
    """The error for the tensors of a dispatch, which the caller has found to be invalid."""
    try:
        _refuse_dispatch(device, graph, inputs, outputs)
    except MLError as error:
        return error.with_traceback(None)


def _refuse_dispatch(device: Device, graph: MLGraph, inputs: object, outputs: object) -> NoReturn:
    device.check_not_lost()
    seen: dict[int, tuple[str, str]] = {}
    for kind, given, expected in (("input", inputs, graph.inputs), ("output", outputs, graph.outputs)):
        if not isinstance(given, Mapping):
            raise ValidationError(
                f"dispatch: {kind}s must be a mapping of names to tensors, got {type(given).__name__}"
            )
        for name, tensor in given.items():
            where = f"dispatch: {kind} {printable(str(name))!r}"
            if not isinstance(tensor, MLTensor):
                raise ValidationError(
                    f"{where}: expected an MLTensor, got {type(tensor).__name__};"
                    " arrays go to context.run(graph, inputs) or context.compute(graph, inputs)"
                )
            if tensor._device is not device:
                raise ValidationError(f"{where}: {tensor!r} belongs to another context{_BETWEEN_CONTEXTS}")
            if tensor._destroyed:
                raise DestroyedError(f"{where}: {tensor!r} was destroyed")
            if id(tensor) in seen and (problem := _given_twice(graph, seen[id(tensor)], (kind, str(name)))):
                raise ValidationError(f"{where}: {tensor!r} is given as {problem}")
            seen[id(tensor)] = (kind, str(name))
            if tensor.constant:
                raise ValidationError(
                    f"{where}: {tensor!r} cannot be dispatched: it is a constant tensor, for builder.constant"
                )
        if set(given) != set(expected):
            unread = sorted(graph.unread_inputs.intersection(given)) if kind == "input" else []
            hint = f"; no output depends on {', '.join(map(repr, unread))}, so leave it out" if unread else ""
            raise ValidationError(f"dispatch: {_wrong_names(kind, expected, given)}{hint}")
        for name, descriptor in expected.items():
            if given[name].descriptor != descriptor:
                raise ValidationError(
                    f"dispatch: {kind} {printable(name)!r}: expected {descriptor.data_type}"
                    f" {list(descriptor.shape)}, got {given[name]!r}"
                )
    raise AssertionError("a dispatch was refused without a reason")


def _given_twice(graph: MLGraph, first: tuple[str, str], second: tuple[str, str]) -> str | None:
    """The reason why a tensor cannot be both, each a kind and a name; None if it can be donated."""
    problem = f"{first[0]} {printable(first[1])!r} too"
    if first[0] == second[0]:
        return f"{problem}; each tensor may be given once"
    donations = graph.explain().donations
    reason = donations.kept.get(first[1])
    for pair in donations.pairs:
        if pair.input == first[1]:
            if pair.output == second[1]:
                return None
            reason = f"its memory can become that of output {printable(pair.output)!r} only"
    return (
        f"{problem}, which cannot be overwritten by this output: {reason or 'the graph has no such input'}"
        " (see graph.explain()); take two tensors, a and b, in turn: after each dispatch, a, b = b, a"
    )


def seconds(name: str, value: object) -> float:
    """A duration: a finite number that is not negative."""
    given = float(number(name, value))
    if not 0 <= given < float("inf"):
        raise ValidationError(f"{name} must be a number of seconds that is finite and not negative, got {shown(value)}")
    return given


def _wrong_names(kind: str, expected: Iterable[str], given: Iterable[Any]) -> str:
    expected, given = list(expected), list(given)
    missing = [printable(name) for name in expected if name not in given]
    unknown = [printable(str(name)) for name in given if name not in expected]
    problems = []
    if missing:
        problems.append(f"missing {', '.join(map(repr, missing))}")
    if unknown:
        problems.append(f"unknown {', '.join(map(repr, unknown))}")
    names = ", ".join(repr(printable(name)) for name in expected) or "none"
    return f"{' and '.join(problems)} among the {kind}s; the graph has {names}"


def writable_array(out: Any, descriptor: MLOperandDescriptor) -> np.ndarray[Any, Any]:
    """`out` as an array of `descriptor` over the same memory."""
    try:
        if isinstance(out, np.ndarray):
            array = out
        else:
            try:
                array = np.from_dlpack(out) if hasattr(out, "__dlpack__") else np.frombuffer(out, np.uint8)
            except (TypeError, ValueError, BufferError, RuntimeError) as error:
                raise ValidationError(
                    f"out must be an array or a writable buffer, got {type(out).__name__}: {error}"
                ) from None
        if not array.flags.writeable:
            raise ValidationError(
                "out is read-only, as all arrays that are read from tensors are; pass np.empty_like(array), or a copy"
            )
        if not array.flags.c_contiguous:
            raise ValidationError(f"out {list(array.shape)} is not C-contiguous")
        if array.ndim == 1 and array.nbytes > descriptor.byte_length:
            array = array[: descriptor.byte_length // array.itemsize]  # a larger buffer: its first bytes
        result = np.asarray(array_from(array, descriptor))  # subclasses may have functions of their own
        if not np.shares_memory(result, np.asarray(array)):
            raise ValidationError("out cannot be filled in place")
    except ValidationError as error:
        raise ValidationError(f"read_tensor: {error}") from None
    return result
