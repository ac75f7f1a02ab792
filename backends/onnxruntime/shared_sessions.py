"""Sessions that serve several graphs at once: those of one file for several sizes, whose open models are equal.

A session is found again by the bytes of its model and by what else decides on it. Like the session cache, this trusts
no memory that its owner could have changed since: the constants must be the same ones, in the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from weakref import WeakValueDictionary

import numpy as np

from webnn.backends.digests import array_digest
from webnn.backends.onnx.messages import ModelProto, TensorProto
from webnn.backends.onnx.model import Model
from webnn.backends.onnxruntime import native
from webnn.backends.onnxruntime.executable import CPU
from webnn.backends.onnxruntime.open_sizes import declaration, declare, open_sizes
from webnn.backends.session_cache import constants_digests, is_same_memory
from webnn.forking import on_fork
from webnn.graph.ir import Graph
from webnn.graph.quick_dataclass import dataclass

__all__ = ["Parameters", "SharedSession", "opened", "session_key", "shared_session"]

Array: TypeAlias = np.ndarray[Any, Any]


class SharedSession:
    """A session with the constants that it was made of. It lives as long as an executable refers to it.

    Args:
        session: the native session.
        constants: by name.
        digests: the digests of the constants, before the session was made.
        values: arrays and OrtValues that the session reads in place.
    """

    __slots__ = ("__weakref__", "constants", "digests", "session", "values")

    def __init__(
        self, session: Any, constants: Mapping[str, Array], digests: Sequence[bytes], values: Sequence[object]
    ) -> None:
        self.session = session
        self.constants = constants
        self.digests = digests
        self.values = values


_sessions: Final[WeakValueDictionary[bytes, SharedSession]] = WeakValueDictionary()


def session_key(model: ModelProto, *others: object) -> bytes:
    """What tells a session of `model` from others; `others` are further values that decide on it."""
    written = model.SerializeToString(deterministic=True) + repr(others).encode()
    return array_digest(np.frombuffer(written, np.uint8))


def shared_session(
    key: bytes, constants: Mapping[str, Array], make: Callable[[], tuple[Any, Sequence[object]]]
) -> SharedSession:
    """The session of this key and these constants: one that there is, or else a new one.

    Args:
        key: from `session_key`.
        constants: by name.
        make: makes the session, and the values that it reads in place.
    """
    digests = constants_digests(constants.values())
    kept = _sessions.get(key)
    if kept is not None and kept.digests == digests and _are_same(kept.constants, constants):
        return kept
    session, values = make()
    made = SharedSession(session, constants, digests, values)
    if digests == constants_digests(constants.values()):  # they may have changed while the session was made
        _sessions[key] = made
    return made


def _are_same(kept: Mapping[str, Array], given: Mapping[str, Array]) -> bool:
    return kept.keys() == given.keys() and all(is_same_memory(array, given[name]) for name, array in kept.items())


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of an open model as OrtValues, by name; and what has to live as long as they are read."""

    values: list[tuple[str, Any]]
    keep: list[Any]


def opened(graph: Graph, model: Model, proto: ModelProto, constants: dict[str, Array]) -> Parameters | None:
    """Leave the sizes of `proto` open, so that graphs for other sizes can have the same session; None if it cannot.

    Args:
        graph: that `model` was lowered from, with its open dimensions.
        model: of `graph`.
        proto: the finished `model`, which is changed.
        constants: of `proto`, those that it declares without their data; those that it no longer reads are removed.
    """
    names = {model.input_names[name]: each for name, each in graph.open_dimensions.items() if name in graph.inputs}
    found = open_sizes(proto, constants, names)
    if found is None:
        return None
    placed = {name: _ortvalue(array) for name, array in found.parameters.items()}
    result = Parameters([(name, value) for name, (_, value) in placed.items()], [*placed.values()])
    if found.computed is not None:
        values, session = _computed(found.computed, found.operands)
        declare(proto, {name: (each.element_type(), len(each.shape())) for name, each in values.items()})
        result.values.extend(values.items())
        result.keep.append(session)
    _declare_values(model, proto)
    return result


def _declare_values(model: Model, proto: ModelProto) -> None:
    """Give `proto` the sizes of the values of each attention whose heads are side by side.

    The standard's inference takes a size that a slice leaves open for 0, and then refuses the products that follow.
    """
    values = [node["value"] for node in model.graph.nodes if node.op == "attention" and node["value"].rank == 3]
    if not values:
        return
    named = {id(operand): model.output_names[name] for name, operand in reversed([*model.graph.outputs.items()])}
    sizes = {named.get(id(value)) or model[value]: value.shape[-1] for value in values}
    tensors = {tensor.name for tensor in proto.graph.initializer}
    for info in (*proto.graph.input, *proto.graph.output):
        if (size := sizes.pop(info.name, None)) is not None:
            info.type.tensor_type.shape.dim[-1].dim_value = size
    for name in sizes.keys() - tensors:
        declared = declaration(name, TensorProto.FLOAT, 3)
        declared.type.tensor_type.shape.dim[-1].dim_value = sizes[name]
        proto.graph.value_info.append(declared)


def _computed(model: ModelProto, operands: Mapping[str, Array]) -> tuple[dict[str, Any], SharedSession]:
    """The outputs of `model` as OrtValues, by name; and its session, which other calls find as long as it lives."""

    def make() -> tuple[Any, Sequence[object]]:
        settings = native.SessionOptions()
        settings.log_severity_level = 4
        settings.intra_op_num_threads = 1
        settings.enable_cpu_mem_arena = False
        settings.graph_optimization_level = native.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = native.InferenceSession(settings, model.SerializeToString(), False, False)
        session.initialize_session([], [], set())
        return session, ()

    shared = shared_session(session_key(model), {}, make)
    binding = native.SessionIOBinding(shared.session)
    values = {name: _ortvalue(array) for name, array in operands.items()}
    for name, (_, value) in values.items():
        binding.bind_ortvalue_input(name, value)
    names = [output.name for output in model.graph.output]
    for name in names:
        binding.bind_output(name, CPU)
    shared.session.run_with_iobinding(binding, None)
    return dict(zip(names, binding.get_outputs(), strict=True)), shared


def _ortvalue(array: Array) -> tuple[Array, Any]:
    """The elements of `array` where an OrtValue can have them, which may be where they are; and the OrtValue."""
    plain = np.ascontiguousarray(array)
    placed = plain if plain.flags.aligned and plain.flags.writeable else plain.copy()
    return placed, native.OrtValue.ortvalue_from_numpy(placed, CPU)


@on_fork
def _forget(_: int) -> None:
    """The threads of these sessions are the parent's."""
    _sessions.clear()
