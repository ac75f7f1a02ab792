"""Recurrent networks on arrays, as the specification decomposes their cells; computed in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from webnn.backends.arrays.kernels import Array, Arrays, dtype_of, kernels
from webnn.backends.arrays.products import product
from webnn.graph.ir import Node

_ACTIVATIONS: Final[Mapping[str, Callable[[Any, Array], Array]]] = {
    "relu": lambda xp, x: xp.maximum(x, 0.0),
    "sigmoid": lambda xp, x: 1.0 / (1.0 + xp.exp(-x)),
    "tanh": lambda xp, x: xp.tanh(x),
}

State: TypeAlias = tuple[Array, ...]
"""The state between steps: the hidden state, and the cell state of an LSTM."""
Step: TypeAlias = Callable[[Any, Node, Array, State, Arrays], State]
"""`step(xp, node, input, state, weights)`: the next state."""


def _gates(array: Array | None, layout: str) -> Mapping[str, Array]:
    """The parts of a weight or bias by the letters of its layout; zeros if it was not given."""
    if array is None:
        return dict.fromkeys(layout, 0.0)
    size = array.shape[0] // len(layout)
    return {gate: array[i * size : (i + 1) * size, ...] for i, gate in enumerate(layout)}


def _gru_step(xp: Any, node: Node, x: Array, state: State, weights: Arrays) -> State:
    (h,) = state
    layout = node.attributes["layout"]
    w, r = (_gates(weights[name], layout) for name in ("weight", "recurrent_weight"))
    b, rb = (_gates(weights.get(name), layout) for name in ("bias", "recurrent_bias"))
    gate, new = (_ACTIVATIONS[name] for name in node.attributes["activations"])
    update, reset = (gate(xp, b[k] + rb[k] + product(x, w[k].T) + product(h, r[k].T)) for k in "zr")
    if node.attributes["reset_after"]:
        candidate = new(xp, b["n"] + product(x, w["n"].T) + reset * (rb["n"] + product(h, r["n"].T)))
    else:
        candidate = new(xp, b["n"] + rb["n"] + product(x, w["n"].T) + product(reset * h, r["n"].T))
    return (update * h + candidate * (1.0 - update),)


def _lstm_step(xp: Any, node: Node, x: Array, state: State, weights: Arrays) -> State:
    h, c = state
    layout = node.attributes["layout"]
    w, r = (_gates(weights[name], layout) for name in ("weight", "recurrent_weight"))
    b, rb = (_gates(weights.get(name), layout) for name in ("bias", "recurrent_bias"))
    p = _gates(weights.get("peephole_weight"), "iof")
    gate, cell, hidden = (_ACTIVATIONS[name] for name in node.attributes["activations"])
    i, o, f = (gate(xp, p[k] * c + b[k] + rb[k] + product(x, w[k].T) + product(h, r[k].T)) for k in "iof")
    g = cell(xp, b["g"] + rb["g"] + product(x, w["g"].T) + product(h, r["g"].T))
    c = f * c + i * g
    return o * hidden(xp, c), c


def _cell(xp: Any, node: Node, operands: Arrays, step: Step, states: tuple[str, ...]) -> tuple[Array, ...]:
    wide = {name: xp.astype(array, xp.float64) for name, array in operands.items()}
    state = step(xp, node, wide["input"], tuple(wide[name] for name in states), wide)
    return tuple(xp.astype(array, dtype_of(xp, node.output)) for array in state)


def _sequence(xp: Any, node: Node, operands: Arrays, step: Step, states: tuple[str, ...]) -> tuple[Array, ...]:
    """The states after the last step, `[directions, batch, hidden]` each, and the hidden states after every step."""
    wide = {name: xp.astype(array, xp.float64) for name, array in operands.items()}
    input = wide.pop("input")
    directions, *size = node.output.shape
    last: list[State] = []
    sequences = []
    for d in range(directions):
        given = {name: array[d, ...] for name, array in wide.items()}
        state = tuple(given.get(name, xp.zeros(size, dtype=xp.float64)) for name in states)
        order = range(node.attributes["steps"])
        hidden = {}
        for t in reversed(order) if d == 1 or node.attributes["direction"] == "backward" else order:
            state = step(xp, node, input[t, ...], state, given)
            hidden[t] = state[0]
        last.append(state)
        sequences.append([hidden[t] for t in order])
    outputs = [xp.stack([state[k] for state in last]) for k in range(len(states))]
    if node.attributes["return_sequence"]:
        outputs.append(xp.stack([xp.stack(sequence) for sequence in sequences], axis=1))
    return tuple(xp.astype(array, dtype_of(xp, node.output)) for array in outputs)


@kernels.lowers("gru_cell")
def gru_cell(xp: Any, node: Node, operands: Arrays) -> tuple[Array, ...]:
    """One step of a GRU."""
    return _cell(xp, node, operands, _gru_step, ("hidden_state",))


@kernels.lowers("gru")
def gru(xp: Any, node: Node, operands: Arrays) -> tuple[Array, ...]:
    """Each step of a GRU in turn, in each direction."""
    return _sequence(xp, node, operands, _gru_step, ("initial_hidden_state",))


@kernels.lowers("lstm_cell")
def lstm_cell(xp: Any, node: Node, operands: Arrays) -> tuple[Array, ...]:
    """One step of an LSTM."""
    return _cell(xp, node, operands, _lstm_step, ("hidden_state", "cell_state"))


@kernels.lowers("lstm")
def lstm(xp: Any, node: Node, operands: Arrays) -> tuple[Array, ...]:
    """Each step of an LSTM in turn, in each direction."""
    return _sequence(xp, node, operands, _lstm_step, ("initial_hidden_state", "initial_cell_state"))
