"""Recurrent networks with options that WebNN's operators lack, unrolled step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np

from webnn.formats.onnx.importing.operator_table import Imported
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.folded_movement import sliced
from webnn.formats.onnx.patterns.recurrent_network import RecurrentNetwork
from webnn.graph.operand import MLOperand

__all__ = ["gru_step", "lstm_step", "rnn_step", "unrolled"]

_MAX_STEPS: Final = 512
"""The most steps that are unrolled; each takes about twenty operators."""


class _Cell:
    """One direction of a network: the weights and activations of its steps."""

    def __init__(self, network: RecurrentNetwork, direction: int, recurrent: MLOperand, bias: MLOperand | None) -> None:
        self.node = network.node
        self.builder = network.node.builder
        self.direction = direction
        self._activations = network.activations[direction]
        self._network = network
        self._recurrent = recurrent
        self._bias = bias

    def recur(self, hidden: MLOperand, first: int, count: int) -> MLOperand:
        """`hidden` times the recurrent weights of some gates, plus their recurrent bias."""
        size, at = self._network.hidden * count, self._network.hidden * first
        bias = None if self._bias is None else sliced(self.node, self._bias, 0, at, size)
        return self.builder.gemm(hidden, sliced(self.node, self._recurrent, 1, at, size), c=bias)

    def gates(self, x: MLOperand, count: int) -> list[MLOperand]:
        """`x` split into gates."""
        return self.builder.split(x, count, axis=1)

    def activate(self, which: int, x: MLOperand, *, clipped: bool = True) -> MLOperand:
        """Activation `which` of `x`, which is clipped first if the network clips."""
        clip = self._network.clip
        if clip and clipped:
            x = self.builder.clamp(x, min_value=-clip, max_value=clip)
        return self._activations[which](self.builder, x)


Step: TypeAlias = Callable[[_Cell, MLOperand, list[MLOperand]], list[MLOperand]]
"""A step: the new states, the hidden one first, from the input's part of the gates and the previous states."""


def unrolled(network: RecurrentNetwork, step: Step, states: Sequence[MLOperand | None]) -> Imported:
    """The outputs of the network, each direction unrolled separately."""
    if network.steps > _MAX_STEPS:
        raise UnsupportedNodeError(
            f"WebNN has no operator for its options, and its {network.steps} steps are too many to unroll",
            f"at most {_MAX_STEPS} steps; or relu, sigmoid and tanh without clip, input_forget and sequence_lens",
        )
    zeros = network.node.builder.constant(np.zeros((network.batch, network.hidden), network.dtype))
    runs = []
    for i, back in enumerate(network.reversed):
        initial = [zeros if state is None else _direction(network, state, i) for state in states]
        runs.append(_run(network, step, i, initial, back))
    return network.outputs(network.join_directions(runs))


def _direction(network: RecurrentNetwork, x: MLOperand, i: int) -> MLOperand:
    """`x` for direction `i`, without the axis of directions."""
    return network.node.builder.reshape(sliced(network.node, x, 0, i, 1), x.shape[1:])


def _run(network: RecurrentNetwork, step: Step, i: int, states: list[MLOperand], back: bool) -> list[MLOperand]:
    b = network.node.builder
    weight, recurrent = (b.transpose(_direction(network, w, i)) for w in (network.weight, network.recurrent))
    biases = [None if bias is None else _direction(network, bias, i) for bias in network.biases]
    rows = b.reshape(network.x, [network.steps * network.batch, network.x.shape[2]])
    inputs = b.reshape(b.gemm(rows, weight, c=biases[0]), [network.steps, network.batch, weight.shape[1]])
    parts = b.split(inputs, network.steps) if network.steps > 1 else [inputs]
    cell = _Cell(network, i, recurrent, biases[1])
    sequence: list[MLOperand | None] = [None] * network.steps
    for t in reversed(range(network.steps)) if back else range(network.steps):
        new = step(cell, b.reshape(parts[t], inputs.shape[1:]), states)
        hidden = new[0]
        if network.lengths is not None:
            inside = b.reshape(b.greater(network.lengths, network.node.scalar(network.lengths, t)), [network.batch, 1])
            new = [b.where(inside, now, before) for now, before in zip(new, states, strict=True)]
            hidden = b.where(inside, hidden, network.node.scalar(hidden, 0))
        states, sequence[t] = new, hidden
    found = [b.reshape(state, [1, *state.shape]) for state in states]
    if network.reads_sequence:
        each = [b.reshape(hidden, [1, 1, *hidden.shape]) for hidden in sequence if hidden is not None]
        found.append(b.concat(each, 0))
    return found


def rnn_step(cell: _Cell, x: MLOperand, states: list[MLOperand]) -> list[MLOperand]:
    """The step of an RNN."""
    return [cell.activate(0, cell.builder.add(x, cell.recur(states[0], 0, 1)))]


def gru_step(*, reset_after: bool) -> Step:
    """The step of a GRU whose reset gate is applied after the product with recurrent weights, or before it."""
    return _gru_step_after if reset_after else _gru_step_before


def _gru_step_before(cell: _Cell, x: MLOperand, states: list[MLOperand]) -> list[MLOperand]:
    b, (hidden,) = cell.builder, states
    x_update, x_reset, x_new = cell.gates(x, 3)
    update, reset = cell.gates(cell.recur(hidden, 0, 2), 2)
    update = cell.activate(0, b.add(x_update, update))
    reset = cell.activate(0, b.add(x_reset, reset))
    new = cell.activate(1, b.add(x_new, cell.recur(b.mul(reset, hidden), 2, 1)))
    return [_mixed(cell, update, hidden, new)]


def _gru_step_after(cell: _Cell, x: MLOperand, states: list[MLOperand]) -> list[MLOperand]:
    b, (hidden,) = cell.builder, states
    x_update, x_reset, x_new = cell.gates(x, 3)
    update, reset, new = cell.gates(cell.recur(hidden, 0, 3), 3)
    update = cell.activate(0, b.add(x_update, update))
    reset = cell.activate(0, b.add(x_reset, reset))
    return [_mixed(cell, update, hidden, cell.activate(1, b.add(x_new, b.mul(reset, new))))]


def _mixed(cell: _Cell, update: MLOperand, hidden: MLOperand, new: MLOperand) -> MLOperand:
    b = cell.builder
    return b.add(b.mul(b.linear(update, alpha=-1, beta=1), new), b.mul(update, hidden))


def lstm_step(peephole: MLOperand | None, *, coupled: bool) -> Step:
    """The step of an LSTM; if `coupled`, its forget gate is 1 minus its input gate."""

    def step(cell: _Cell, x: MLOperand, states: list[MLOperand]) -> list[MLOperand]:
        b, (hidden, memory) = cell.builder, states
        entering, output, forget, new = cell.gates(b.add(x, cell.recur(hidden, 0, 4)), 4)

        def seen(gate: MLOperand, state: MLOperand, which: int) -> MLOperand:
            """The gate plus its peephole's share of the cell state."""
            if peephole is None:
                return gate
            weights = sliced(cell.node, peephole, 0, cell.direction, 1)
            size = hidden.shape[1]
            return b.add(gate, b.mul(sliced(cell.node, weights, 1, which * size, size), state))

        entering = cell.activate(0, seen(entering, memory, 0))
        forget = b.linear(entering, alpha=-1, beta=1) if coupled else cell.activate(0, seen(forget, memory, 2))
        memory = b.add(b.mul(forget, memory), b.mul(entering, cell.activate(1, new)))
        output = cell.activate(0, seen(output, memory, 1))
        return [b.mul(output, cell.activate(2, memory, clipped=False)), memory]

    return step
