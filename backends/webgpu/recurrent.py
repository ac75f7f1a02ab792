"""Recurrent networks step by step, where the device has no kernel.

That is, all GRUs, and LSTMs whose output gate sees the cell state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement

__all__ = ["MOST_STEPS", "gru", "gru_cell", "lstm", "lstm_cell"]

MOST_STEPS: Final = 256
"""Longer sequences are left to the CPU: each step is some 20 nodes."""

State: TypeAlias = list[MLOperand]
"""The hidden state, and the cell state of an LSTM."""
Operands: TypeAlias = Mapping[str, MLOperand]
"""Of one direction, by name."""
Step: TypeAlias = Callable[[Replacement, Node, MLOperand, State, Operands], State]
"""`step(builder, node, products, state, operands)`: the next state; the products are those of the step's input."""


def gru(node: Node) -> Sequence[MLOperand] | None:
    """Each step in turn, in each direction."""
    return _sequence(node, _gru_step, ["initial_hidden_state"])


def gru_cell(node: Node) -> Sequence[MLOperand]:
    """One step."""
    return _cell(node, _gru_step, ["hidden_state"])


def lstm(node: Node) -> Sequence[MLOperand] | None:
    """Each step in turn, in each direction, if the output gate sees the cell state."""
    return _sequence(node, _lstm_step, ["initial_hidden_state", "initial_cell_state"]) if _peeps(node) else None


def lstm_cell(node: Node) -> Sequence[MLOperand] | None:
    """One step, likewise."""
    return _cell(node, _lstm_step, ["hidden_state", "cell_state"]) if _peeps(node) else None


def _peeps(node: Node) -> bool:
    peephole = node.get("peephole_weight")
    if peephole is None:
        return False
    size = node.attributes["hidden_size"]
    return peephole.constant is None or bool(np.any(peephole.constant[..., size : 2 * size]))


def _gru_step(builder: Replacement, node: Node, x: MLOperand, state: State, operands: Operands) -> State:
    (h,) = state
    layout, recurrent_weight = node.attributes["layout"], operands["recurrent_weight"]
    activate, activate_new = (getattr(builder, name) for name in node.attributes["activations"])
    inputs = _gates(builder, x, layout)
    recurrent = _gates(builder, _product(builder, h, recurrent_weight, operands.get("recurrent_bias")), layout)
    update, reset = (activate(builder.add(inputs[gate], recurrent[gate])) for gate in "zr")
    if node.attributes["reset_after"]:
        candidate = builder.mul(reset, recurrent["n"])
    else:
        weights = _gates(builder, recurrent_weight, layout, axis=0)
        bias = operands.get("recurrent_bias")
        biases = None if bias is None else _gates(builder, bias, layout, axis=0)["n"]
        candidate = _product(builder, builder.mul(reset, h), weights["n"], biases)
    new = activate_new(builder.add(inputs["n"], candidate))
    one = builder.constant(h.data_type, 1.0)
    return [builder.add(builder.mul(update, h), builder.mul(new, builder.sub(one, update)))]


def _lstm_step(builder: Replacement, node: Node, x: MLOperand, state: State, operands: Operands) -> State:
    h, c = state
    activate, activate_cell, activate_hidden = (getattr(builder, name) for name in node.attributes["activations"])
    recurrent = _product(builder, h, operands["recurrent_weight"], operands.get("recurrent_bias"))
    sums = _gates(builder, builder.add(x, recurrent), node.attributes["layout"])
    peepholes = _gates(builder, operands["peephole_weight"], "iof", axis=0)
    i, o, f = (activate(builder.add(builder.mul(peepholes[gate], c), sums[gate])) for gate in "iof")
    c = builder.add(builder.mul(f, c), builder.mul(i, activate_cell(sums["g"])))
    return [builder.mul(o, activate_hidden(c)), c]


def _gates(builder: Replacement, operand: MLOperand, layout: str, axis: int = 1) -> dict[str, MLOperand]:
    return dict(zip(layout, builder.split(operand, len(layout), axis=axis), strict=True))


def _product(builder: Replacement, x: MLOperand, weight: MLOperand, bias: MLOperand | None) -> MLOperand:
    return builder.gemm(x, weight, c=bias, b_transpose=True)


def _cell(node: Node, step: Step, states: Sequence[str]) -> Sequence[MLOperand]:
    builder = Replacement(node)
    operands = {name: node[name] for name in node.operands}
    x = _product(builder, operands["input"], operands["weight"], operands.get("bias"))
    return step(builder, node, x, [operands[name] for name in states], operands)


def _sequence(node: Node, step: Step, states: Sequence[str]) -> Sequence[MLOperand] | None:
    """The states after the last step, `[directions, batch, hidden]` each, and the hidden states after every step."""
    options: Any = node.attributes
    steps, x = options["steps"], node["input"]
    if steps > MOST_STEPS:
        return None
    builder = Replacement(node)
    directions, *size = node.output.shape
    batch = size[0]
    rows = builder.reshape(x, [steps * batch, x.shape[2]])
    last: list[State] = []
    sequences: list[list[MLOperand]] = []
    for direction in range(directions):
        operands = {name: _part(builder, node[name], direction) for name in node.operands if name != "input"}
        products = _product(builder, rows, operands["weight"], operands.get("bias"))
        inputs = builder.split(products, steps, axis=0)
        zeros = builder.full(0, size, x.data_type)
        state = [operands.get(name, zeros) for name in states]
        hidden: dict[int, MLOperand] = {}
        is_backward = direction == 1 or options["direction"] == "backward"
        for t in reversed(range(steps)) if is_backward else range(steps):
            state = step(builder, node, inputs[t], state, operands)
            hidden[t] = state[0]
        last.append(state)
        sequences.append([hidden[t] for t in range(steps)])
    outputs = [builder.concat([builder.reshape(state[k], [1, *size]) for state in last], 0) for k in range(len(states))]
    if options["return_sequence"]:
        parts = [builder.reshape(builder.concat(sequence, 0), [steps, 1, *size]) for sequence in sequences]
        outputs.append(builder.concat(parts, 1))
    return outputs


def _part(builder: Replacement, operand: MLOperand, direction: int) -> MLOperand:
    """The operand of one direction."""
    if operand.shape[0] > 1:
        starts = [direction, *[0] * (operand.rank - 1)]
        operand = builder.slice(operand, starts, [1, *operand.shape[1:]])
    return builder.reshape(operand, operand.shape[1:])
