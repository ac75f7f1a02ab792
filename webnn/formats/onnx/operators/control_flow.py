"""Control flow, which WebNN lacks: branches are chosen or both computed, and loops are unrolled.

A known condition chooses its branch during the import. Otherwise both branches run, and each result is selected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.backends.onnx.messages import GraphProto, ValueInfoProto
from webnn.errors import DataError
from webnn.formats.onnx.importing.budget import MAX_UNROLLED_NODES
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.importing.values import Value
from webnn.formats.onnx.patterns.mapped_scan import mapped
from webnn.formats.onnx.patterns.split_and_stack import stacked, unstacked
from webnn.graph.operand import MLOperand

__all__: list[str] = []


@imports("If")
def branch(node: OnnxNode) -> Imported:
    """The branch that a known condition chooses; else both branches, and a selection for each result."""
    condition = node.known(0)
    if condition is not None:
        return node.importer.run_graph(node.get_graph("then_branch" if _is_true(condition) else "else_branch"))
    try:
        then, other = (node.importer.run_graph(node.get_graph(name)) for name in ("then_branch", "else_branch"))
    except DataError as error:  # perhaps of a branch that these inputs never take
        raise UnsupportedNodeError(f"{_BOTH}, and one of them is invalid: {error}", _DECIDE) from None
    if any(value.missing for value in [*then, *other]):
        raise UnsupportedNodeError(f"{_BOTH}, and one of them cannot be expressed", _DECIDE)
    if math.prod(node.shape(0)) != 1:
        raise DataError(f"the condition must be one value, got shape {list(node.shape(0))}")
    holds = node.builder.reshape(node.operand(0), [])
    return [_selected(node, holds, *pair, "a result") for pair in zip(then, other, strict=True)]


_BOTH: Final = "the condition is computed when the model runs, so both branches are computed"
_DECIDE: Final = "give the inputs that the condition depends on as constants={...}"


# Loop.


@imports("Loop")
def loop(node: OnnxNode) -> Imported:
    """The unrolled iterations; their number, or an upper bound of it, must be known.

    If the condition is computed when the model runs, all iterations are computed, and carried values stop changing
    with the iteration in which the condition turns false.
    """
    body = node.get_graph("body")
    condition = node.value(1) if node.has(1) else Value(np.array(True))
    carried = [node.given(i) for i in range(2, len(node.inputs))]
    collected: list[list[Value]] = [[] for _ in range(len(body.output) - 1 - len(carried))]
    if len(body.output) < 1 + len(carried):
        raise DataError(
            f"the body returns {len(body.output)} values, expected at least {1 + len(carried)}: the condition and each"
            " carried value"
        )
    trips = _trips(node, condition)
    running: MLOperand | None = None
    count = 0
    while trips is None or count < trips:
        if condition.array is None:
            _check_bounded(trips, collected)
            still = node.builder.reshape(node.importer.operand_of(condition), [])
            running = still if running is None else node.builder.logical_and(running, still)
        elif not _is_true(condition.array):
            break
        _spend_iterations(node, body, 1)
        condition, *results = node.importer.run_graph(body, [Value(np.array(count)), condition, *carried])
        if condition.missing or any(value.missing for value in results):
            return [Value(missing=True)] * (len(results) or 1)
        following = results[: len(carried)]
        if running is not None:
            pairs = zip(following, carried, strict=True)
            following = [_selected(node, running, *pair, "a carried value") for pair in pairs]
        carried = following
        for values, value in zip(collected, results[len(carried) :], strict=True):
            values.append(value)
        count += 1
    inputs = [Value(np.array(0)), condition, *carried]
    return [*carried, *_stacks(node, collected, body.output[1 + len(carried) :], inputs)]


def _stacks(
    node: OnnxNode,
    collected: Sequence[Sequence[Value]],
    outputs: Sequence[ValueInfoProto],
    inputs: Sequence[Value],
    axes: Sequence[int] = (),
) -> list[Value]:
    """The collected values of each output, stacked along its axis, the first one by default.

    If there was no iteration, and an output does not declare its shape, one with `inputs` shows the shapes.
    """
    likes: Sequence[Value | None] = [None] * len(outputs)
    if any(not values and not _has_shape(info) for values, info in zip(collected, outputs, strict=True)):
        results = node.importer.tried_graph(node.get_graph("body"), inputs)
        if results is not None:
            likes = [None if value.missing or value.items is not None else value for value in results[-len(outputs) :]]
    rows = zip(collected, axes or [0] * len(outputs), outputs, likes, strict=True)
    return [stacked(node, values, axis, info, like) for values, axis, info, like in rows]


def _has_shape(info: ValueInfoProto) -> bool:
    tensor = info.type.tensor_type
    return tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim)


def _trips(node: OnnxNode, condition: Value) -> int | None:
    """The upper bound of the iterations, or None."""
    known = node.known(0)
    if node.has(0) and known is None:
        raise UnsupportedNodeError(
            "the number of iterations is computed when the model runs, and a WebNN graph has no loops",
            "give the inputs it depends on as constants={...}",
        )
    trips = None if known is None else max(int(node.number(0, "the number of iterations")), 0)
    if trips is not None and condition.array is not None and not _is_true(condition.array):
        return 0
    return trips


def _is_true(condition: np.ndarray[Any, Any]) -> bool:
    if condition.size != 1:
        raise DataError(f"the condition must be one value, got shape {list(condition.shape)}")
    return bool(condition.reshape(()))


def _check_bounded(trips: int | None, collected: Sequence[object]) -> None:
    nearest = "give the inputs it depends on as constants={...}, or run the body as a graph of its own in a loop"
    if trips is None or trips > MAX_UNROLLED_NODES:
        raise UnsupportedNodeError(
            "its condition is computed when the model runs, and nothing bounds its iterations", nearest
        )
    if collected:
        raise UnsupportedNodeError(
            "the length of its outputs is computed when the model runs (by the condition)", nearest
        )


def _spend_iterations(node: OnnxNode, body: GraphProto, iterations: int) -> None:
    if not node.importer.budget.take_unrolled_nodes(iterations * max(len(body.node), 1)):
        raise UnsupportedNodeError(
            f"the unrolled loops of the model have more than {MAX_UNROLLED_NODES} nodes",
            "shorter inputs, or the body as a graph of its own that your program runs in a loop",
        )


def _selected(node: OnnxNode, condition: MLOperand, new: Value, old: Value, what: str) -> Value:
    """`new` where the condition holds, else `old`."""
    if new is old:
        return new
    if new.items is not None and old.items is not None and len(new.items) == len(old.items):
        pairs = zip(new.items, old.items, strict=True)
        return Value(items=tuple(_selected(node, condition, *pair, what) for pair in pairs))
    if new.kind != old.kind:
        raise UnsupportedNodeError(
            f"{what} is {new.kind} or {old.kind}, depending on a condition that is computed when the model runs",
            _DECIDE,
        )
    if new.array is not None and old.array is not None and np.array_equal(new.array, old.array):
        return new
    operands = [node.importer.operand_of(value) for value in (new, old)]
    return Value(operand=node.builder.where(condition, *operands), narrow=new.narrow)


# Scan.


@imports("Scan", since=9)
def scan(node: OnnxNode) -> Imported:
    """One iteration for each slice of the inputs, along any axis and in either direction."""
    state, scanned, outputs = _scan_operands(node, 0)
    axes = node.get_ints("scan_input_axes", [0] * len(scanned))
    directions = node.get_ints("scan_input_directions", [0] * len(scanned))
    of_outputs = [node.get_ints(f"scan_output_{name}", ()) for name in ("axes", "directions")]
    if not any(number for each in (axes, directions, *of_outputs) for number in each):
        at_once = mapped(node, state, scanned)
        if at_once is not None:
            return [*state, *at_once]
    slices = [
        unstacked(node, value, node.axis(axis, len(value.shape)))[:: -1 if backwards else 1]
        for value, axis, backwards in zip(scanned, axes, directions, strict=True)
    ]
    last, collected = _iterated(node, state, slices)
    blank = [_blank_slice(value, node.axis(axis, len(value.shape))) for value, axis in zip(scanned, axes, strict=True)]
    axes = node.get_ints("scan_output_axes", [0] * len(outputs))
    directions = node.get_ints("scan_output_directions", [0] * len(outputs))
    ordered = [values[:: -1 if backwards else 1] for values, backwards in zip(collected, directions, strict=True)]
    return [*last, *_stacks(node, ordered, outputs, [*state, *blank], axes)]


def _blank_slice(value: Value, axis: int) -> Value:
    """A slice of zeros along an axis, for values without any slice."""
    if value.array is None:
        return value
    return Value(np.zeros([*value.shape[:axis], *value.shape[axis + 1 :]], value.array.dtype))


@imports("Scan")
def scan_of_batches(node: OnnxNode) -> Imported:
    """Scan before opset 9, where the first axis is the batch and the second one is scanned."""
    state, scanned, outputs = _scan_operands(node, 1)
    if any(not value.shape for value in state) or any(len(value.shape) < 2 for value in scanned):
        raise DataError("an input lacks the batch axis or the axis to scan")
    lengths = node.integers(0, "the lengths") if node.has(0) else []
    if any(length != scanned[0].shape[1] for length in lengths):
        raise UnsupportedNodeError(f"its sequences have different lengths {lengths}", "Scan of opset 9 or newer")
    directions = node.get_ints("directions", [0] * len(scanned))
    found: list[list[Value]] = []
    for batch in zip(*(unstacked(node, value, 0) for value in [*state, *scanned]), strict=True):
        rows = zip(batch[len(state) :], directions, strict=True)
        slices = [unstacked(node, value, 0)[:: -1 if backwards else 1] for value, backwards in rows]
        last, collected = _iterated(node, batch[: len(state)], slices)
        stacks = [stacked(node, values, 0, info) for values, info in zip(collected, outputs, strict=True)]
        found.append([*last, *stacks])
    return [stacked(node, values, 0) for values in zip(*found, strict=True)]


def _scan_operands(node: OnnxNode, first: int) -> tuple[list[Value], list[Value], list[ValueInfoProto]]:
    """The initial states, the scanned inputs, and the declarations of the scan outputs."""
    values = [node.value(i) for i in range(first, len(node.inputs))]
    body, count = node.get_graph("body"), node.get_int("num_scan_inputs")
    if not 1 <= count <= len(values) or len(body.output) < len(values) - count:
        raise DataError(
            f"num_scan_inputs {count} does not fit {len(values)} inputs and a body with {len(body.output)} outputs"
        )
    states = len(values) - count
    return values[:states], values[states:], list(body.output)[states:]


def _iterated(
    node: OnnxNode, state: Sequence[Value], slices: Sequence[Sequence[Value]]
) -> tuple[Sequence[Value], list[list[Value]]]:
    """The final states, and the collected values of each scan output."""
    body = node.get_graph("body")
    lengths = sorted({len(values) for values in slices})
    if len(lengths) != 1:
        raise DataError(f"the scanned inputs have different lengths {lengths}")
    _spend_iterations(node, body, lengths[0])
    collected: list[list[Value]] = [[] for _ in range(len(body.output) - len(state))]
    for step in zip(*slices, strict=True):
        results = node.importer.run_graph(body, [*state, *step])
        if any(value.missing for value in results):
            missing = Value(missing=True)
            return [missing] * len(state), [[missing] for _ in collected]
        state = results[: len(state)]
        for values, value in zip(collected, results[len(state) :], strict=True):
            values.append(value)
    return state, collected
