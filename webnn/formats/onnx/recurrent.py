"""Recurrent networks: one operator where WebNN has it, or else one step after the other.

WebNN has `lstm` and `gru` with the activations relu, sigmoid and tanh, over whole sequences. An RNN is a GRU whose
gates are constant, and sequences of several lengths are made with gates that hold the state beyond the end of each.
Networks with other activations, with clipping or coupled gates are spelled out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.preserving import joined, part
from webnn.formats.onnx.table import Imported, imports
from webnn.formats.onnx.values import OnnxNode, UnsupportedNodeError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.operand import MLOperand
from webnn.graph.operators.recurrent import MLRecurrentNetworkActivation, MLRecurrentNetworkDirection

__all__: list[str] = []

_MAX_STEPS: Final = 512
"""Steps that are spelled out; each takes about twenty operators."""
_SATURATED: Final = 1e4
"""Where a sigmoid is 1, whatever else a gate adds; and float16 has it."""

_Builder: TypeAlias = MLGraphBuilder[Any]
_Apply: TypeAlias = Callable[[_Builder, MLOperand, float, float], MLOperand]

_NATIVE: Final[dict[str, MLRecurrentNetworkActivation]] = {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh"}


def _thresholded(b: _Builder, x: MLOperand, alpha: float, _beta: float) -> MLOperand:
    zero, bound = b.constant(x.data_type, 0), b.constant(x.data_type, alpha)
    return b.where(b.greater_or_equal(x, bound), x, zero)


_ACTIVATIONS: Final[dict[str, tuple[tuple[float, ...], _Apply]]] = {
    "relu": ((), lambda b, x, _alpha, _beta: b.relu(x)),
    "sigmoid": ((), lambda b, x, _alpha, _beta: b.sigmoid(x)),
    "tanh": ((), lambda b, x, _alpha, _beta: b.tanh(x)),
    "affine": ((1.0, 0.0), lambda b, x, alpha, beta: b.linear(x, alpha=alpha, beta=beta)),
    "leakyrelu": ((0.01,), lambda b, x, alpha, _beta: b.leaky_relu(x, alpha=alpha)),
    "thresholdedrelu": ((1.0,), _thresholded),
    "scaledtanh": ((1.0, 1.0), lambda b, x, alpha, beta: b.linear(b.tanh(b.linear(x, alpha=beta)), alpha=alpha)),
    "hardsigmoid": ((0.2, 0.5), lambda b, x, alpha, beta: b.hard_sigmoid(x, alpha=alpha, beta=beta)),
    "elu": ((1.0,), lambda b, x, alpha, _beta: b.elu(x, alpha=alpha)),
    "softsign": ((), lambda b, x, _alpha, _beta: b.softsign(x)),
    "softplus": ((), lambda b, x, _alpha, _beta: b.softplus(x)),
}
"""The defaults of alpha and beta, as far as an activation has them, and what it computes."""


@dataclass(frozen=True, slots=True)
class _Activation:
    name: str
    parameters: tuple[float, ...]

    def __call__(self, b: _Builder, x: MLOperand) -> MLOperand:
        alpha, beta, *_ = (*self.parameters, 0.0, 0.0)
        return _ACTIVATIONS[self.name][1](b, x, alpha, beta)


def _activations(node: OnnxNode, default: Sequence[str], directions: int) -> list[list[_Activation]]:
    """Those of each direction. Alphas and betas are for those activations in the list that take them, in order."""
    names = [name.lower() for name in node.get_strings("activations", list(default) * directions)]
    if len(names) != len(default) * directions:
        raise DataError(f"activations must be {len(default) * directions} names, got {names}")
    alphas, betas = node.get_floats("activation_alpha", ()), node.get_floats("activation_beta", ())
    result = []
    for name in names:
        if name not in _ACTIVATIONS:
            raise UnsupportedNodeError(f"its activation {name!r} is unknown", ", ".join(_ACTIVATIONS))
        parameters = list(_ACTIVATIONS[name][0])
        for i, given in zip(range(len(parameters)), (alphas, betas), strict=False):
            if given:
                parameters[i] = given.pop(0)
        result.append(_Activation(name, tuple(parameters)))
    each = len(default)
    return [result[i : i + each] for i in range(0, len(result), each)]


class _Network:
    """What LSTM, GRU and RNN have in common: their inputs, in the layout `[steps, batch, ...]`, and their outputs."""

    def __init__(self, node: OnnxNode, gates: int, activations: Sequence[str]) -> None:
        self.node = node
        self.batch_first = node.get_int("layout", 0) == 1
        direction = node.get_string("direction", "forward")
        if direction not in {"forward", "reverse", "bidirectional"}:
            raise DataError(f"direction must be forward, reverse or bidirectional, got {direction!r}")
        self.reversed = [direction == "reverse"] if direction != "bidirectional" else [False, True]
        self.directions = len(self.reversed)
        self.x = self.steps_first(0)
        self.weight, self.recurrent = node.operand(1), node.operand(2)
        self.hidden = self.recurrent.shape[-1]
        if self.x.rank != 3 or self.weight.shape != (self.directions, gates * self.hidden, self.x.shape[2]):
            raise DataError(f"X {list(self.x.shape)} and W {list(self.weight.shape)} do not fit each other")
        self.steps, self.batch = self.x.shape[:2]
        bias = node.optional(3)
        self.biases = [None if bias is None else part(node, bias, 1, i * bias.shape[1] // 2, bias.shape[1] // 2)
                       for i in (0, 1)]  # fmt: skip
        self.gates = gates
        self.activations = _activations(node, activations, self.directions)
        self.clip = node.get_float("clip", 0.0)
        self.lengths = self._lengths()
        self._beyond: MLOperand | None = None
        """Where steps are beyond the end of their sequence, `[steps, batch, 1]`; once `hold` was called."""

    def _lengths(self) -> MLOperand | None:
        """How long each sequence is, or None if all of them are as long as the input."""
        known = self.node.known(4)
        if not self.node.has(4) or (known is not None and (known == self.steps).all()):
            return None
        return self.node.operand(4)

    def steps_first(self, index: int) -> MLOperand:
        """Input `index` with the batch as the second axis, as WebNN has it."""
        x = self.node.operand(index)
        return self.node.builder.transpose(x, permutation=[1, 0, 2]) if self.batch_first else x

    def state(self, index: int) -> MLOperand | None:
        """An initial state, `[directions, batch, hidden]`."""
        return self.steps_first(index) if self.node.has(index) else None

    @property
    def reads_sequence(self) -> bool:
        """Whether the hidden state after each step is read, by the model or to find the last one."""
        return bool(self.node.outputs and self.node.outputs[0]) or self.lengths is not None

    @property
    def is_plain(self) -> bool:
        """Whether WebNN has what the attributes ask for, with gates that `hold` can set where there are lengths."""
        return (
            not self.clip
            and all(a.name in _NATIVE for each in self.activations for a in each)
            and (self.lengths is None or self.gates == 1 or all(each[0].name == "sigmoid" for each in self.activations))
        )

    def become_gru(self) -> None:
        """Put two gates in front that are as `rnn` needs them; "relu" makes 0 and 1 of these numbers exactly."""
        size, directions = self.hidden, self.directions
        self.weight, self.recurrent = (
            joined(self.node, x, np.zeros((directions, 2 * size, x.shape[2]), self._dtype), 1, before=True)
            for x in (self.weight, self.recurrent)
        )
        constant = np.repeat(np.array([[0, 1]] * directions, self._dtype), size, 1)
        zeros = np.zeros_like(constant)
        bias, recurrent = self.biases
        nothing = np.zeros((directions, size), self._dtype)
        bias = self.node.constant(nothing) if bias is None else bias
        self.biases = [
            joined(self.node, bias, constant, 1, before=True),
            None if recurrent is None else joined(self.node, recurrent, zeros, 1, before=True),
        ]
        self.activations = [[_Activation("relu", ()), *each] for each in self.activations]

    def hold(self, *gates: float) -> None:
        """Set the gates to sums of at least `gates` in steps beyond the lengths, where nothing else comes in.

        That is one more number of each step, 1 there, and its weights.
        """
        if self.lengths is None:
            return
        b, x = self.node.builder, self.x
        steps = self.node.constant(np.arange(self.steps, dtype=self.lengths.descriptor.dtype).reshape(-1, 1, 1))
        self._beyond = b.greater_or_equal(steps, b.reshape(self.lengths, [1, self.batch, 1]))
        self.x = b.concat([b.where(self._beyond, self.node.scalar(x, 0), x), b.cast(self._beyond, x.data_type)], 2)
        weights = np.repeat(np.array(gates, self._dtype), self.hidden).reshape(1, -1, 1)
        self.weight = joined(self.node, self.weight, np.repeat(weights, self.directions, 0), 2)

    def native(
        self, run: Callable[[MLRecurrentNetworkDirection, list[MLRecurrentNetworkActivation], Cut], list[MLOperand]]
    ) -> Imported:
        """One operator; or one for each direction, where the activations differ.

        `run` is given the direction, the activations, and how to cut what has an axis of directions.
        """
        names = [[_NATIVE[a.name] for a in activations] for activations in self.activations]
        if self.directions == 2 and names[0] == names[1]:
            return self.outputs(run("both", names[0], lambda x: x))

        def cut(i: int) -> Cut:
            return lambda x: None if x is None else part(self.node, x, 0, i, 1)

        words: dict[bool, MLRecurrentNetworkDirection] = {False: "forward", True: "backward"}
        parts = [run(words[back], names[i], cut(i)) for i, back in enumerate(self.reversed)]
        return self.outputs(self._both(parts))

    def _both(self, parts: list[list[MLOperand]]) -> list[MLOperand]:
        """States and sequences of one direction each, as those of both."""
        if len(parts) == 1:
            return parts[0]
        return [
            self.node.builder.concat(list(same), 0 if same[0].rank == 3 else 1) for same in zip(*parts, strict=True)
        ]

    def outputs(self, found: list[MLOperand]) -> Imported:
        """The node's outputs from WebNN's: the last states, then the sequence if it was asked for."""
        b = self.node.builder
        sequence = found.pop() if self.reads_sequence else None
        if self._beyond is not None and sequence is not None:
            beyond = b.reshape(self._beyond, [self.steps, 1, self.batch, 1])
            sequence = b.where(beyond, self.node.scalar(sequence, 0), sequence)
            if len(found) == 2:
                found[0] = self._last_of(sequence, found[0])
        if self.batch_first:
            found = [b.transpose(state, permutation=[1, 0, 2]) for state in found]
            sequence = None if sequence is None else b.transpose(sequence, permutation=[2, 0, 1, 3])
        return [sequence, *found]

    def _last_of(self, sequence: MLOperand, final: MLOperand) -> MLOperand:
        """The last hidden states of an LSTM: held gates let nothing out, so forward ones are those at the lengths."""
        b = self.node.builder
        assert self.lengths is not None
        last = b.sub(b.reshape(self.lengths, [1, self.batch, 1]), self.node.scalar(self.lengths, 1))
        steps = self.node.constant(np.arange(self.steps, dtype=self.lengths.descriptor.dtype).reshape(-1, 1, 1))
        chosen = b.reshape(b.cast(b.equal(steps, last), sequence.data_type), [self.steps, 1, self.batch, 1])
        parts = [
            part(self.node, final, 0, i, 1)
            if back
            else b.reduce_sum(b.mul(part(self.node, sequence, 1, i, 1), chosen), axes=[0])
            for i, back in enumerate(self.reversed)
        ]
        return b.concat(parts, 0) if len(parts) > 1 else parts[0]

    def spelled_out(self, step: Step, states: Sequence[MLOperand | None]) -> Imported:
        """One step after the other, each direction for itself."""
        if self.steps > _MAX_STEPS:
            raise UnsupportedNodeError(
                f"WebNN has no operator for its options, and its {self.steps} steps are too many to be spelled out",
                f"at most {_MAX_STEPS} steps; or relu, sigmoid and tanh without clip, input_forget and sequence_lens",
            )
        zeros = self.node.builder.constant(np.zeros((self.batch, self.hidden), self._dtype))
        runs = []
        for i, back in enumerate(self.reversed):
            initial = [zeros if state is None else self._direction(state, i) for state in states]
            runs.append(self._run(step, i, initial, back))
        return self.outputs(self._both(runs))

    @property
    def _dtype(self) -> np.dtype[Any]:
        return self.x.descriptor.dtype

    def _direction(self, x: MLOperand, i: int) -> MLOperand:
        """`x` of direction `i`, without the axis of directions."""
        return self.node.builder.reshape(part(self.node, x, 0, i, 1), x.shape[1:])

    def _run(self, step: Step, i: int, states: list[MLOperand], back: bool) -> list[MLOperand]:
        b = self.node.builder
        weight, recurrent = (b.transpose(self._direction(w, i)) for w in (self.weight, self.recurrent))
        biases = [None if bias is None else self._direction(bias, i) for bias in self.biases]
        rows = b.reshape(self.x, [self.steps * self.batch, self.x.shape[2]])
        inputs = b.reshape(b.gemm(rows, weight, c=biases[0]), [self.steps, self.batch, weight.shape[1]])
        parts = b.split(inputs, self.steps) if self.steps > 1 else [inputs]
        cell = _Cell(self, i, recurrent, biases[1])
        sequence: list[MLOperand | None] = [None] * self.steps
        for t in reversed(range(self.steps)) if back else range(self.steps):
            new = step(cell, b.reshape(parts[t], inputs.shape[1:]), states)
            hidden = new[0]
            if self.lengths is not None:
                inside = b.reshape(b.greater(self.lengths, self.node.scalar(self.lengths, t)), [self.batch, 1])
                new = [b.where(inside, now, before) for now, before in zip(new, states, strict=True)]
                hidden = b.where(inside, hidden, self.node.scalar(hidden, 0))
            states, sequence[t] = new, hidden
        found = [b.reshape(state, [1, *state.shape]) for state in states]
        if self.reads_sequence:
            each = [b.reshape(hidden, [1, 1, *hidden.shape]) for hidden in sequence if hidden is not None]
            found.append(b.concat(each, 0))
        return found


Cut: TypeAlias = Callable[[MLOperand | None], Any]
"""Of a weight or state, that of one direction."""


class _Cell:
    """One direction of a network: what a step computes with."""

    def __init__(self, network: _Network, direction: int, recurrent: MLOperand, bias: MLOperand | None) -> None:
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
        bias = None if self._bias is None else part(self.node, self._bias, 0, at, size)
        return self.builder.gemm(hidden, part(self.node, self._recurrent, 1, at, size), c=bias)

    def gates(self, x: MLOperand, count: int) -> list[MLOperand]:
        """Some gates, one by one."""
        return self.builder.split(x, count, axis=1)

    def activate(self, which: int, x: MLOperand, *, clipped: bool = True) -> MLOperand:
        """The activation of this number."""
        clip = self._network.clip
        if clip and clipped:
            x = self.builder.clamp(x, min_value=-clip, max_value=clip)
        return self._activations[which](self.builder, x)


Step: TypeAlias = Callable[[_Cell, MLOperand, list[MLOperand]], list[MLOperand]]
"""New states, the hidden one first, from what the input gives to the gates and the states before."""


@imports("RNN")
def rnn(node: OnnxNode) -> Imported:
    """A GRU, as far as it has the activation: one whose update gate is always 0, and whose reset gate is always 1."""
    network = _Network(node, 1, ["Tanh"])
    initial = network.state(5)

    def step(cell: _Cell, x: MLOperand, states: list[MLOperand]) -> list[MLOperand]:
        return [cell.activate(0, cell.builder.add(x, cell.recur(states[0], 0, 1)))]

    if not network.is_plain:
        return network.spelled_out(step, [initial])
    network.become_gru()
    network.hold(1, 0, 0)
    return _native_gru(network, initial, reset_after=True)


@imports("GRU")
def gru(node: OnnxNode) -> Imported:
    """One operator, as far as WebNN has it."""
    network = _Network(node, 3, ["Sigmoid", "Tanh"])
    reset_after = bool(node.get_int("linear_before_reset", 0))
    initial = network.state(5)
    if not network.is_plain:
        return network.spelled_out(_gru_step_after if reset_after else _gru_step_before, [initial])
    network.hold(_SATURATED, 0, 0)
    return _native_gru(network, initial, reset_after=reset_after)


def _native_gru(network: _Network, initial: MLOperand | None, *, reset_after: bool) -> Imported:
    node = network.node

    def run(
        direction: MLRecurrentNetworkDirection, activations: list[MLRecurrentNetworkActivation], cut: Cut
    ) -> list[MLOperand]:
        return node.builder.gru(
            network.x,
            cut(network.weight),
            cut(network.recurrent),
            network.steps,
            network.hidden,
            bias=cut(network.biases[0]),
            recurrent_bias=cut(network.biases[1]),
            initial_hidden_state=cut(initial),
            reset_after=reset_after,
            return_sequence=network.reads_sequence,
            direction=direction,
            activations=activations,
        )

    return network.native(run)


def _gru_step_before(cell: _Cell, x: MLOperand, states: list[MLOperand]) -> list[MLOperand]:
    """The reset gate comes before the product with the recurrent weights."""
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


_LSTM_LAYOUT: Final[Literal["iofg"]] = "iofg"


@imports("LSTM")
def lstm(node: OnnxNode) -> Imported:
    """One operator, as far as WebNN has it. Its output gate looks at the cell before the step, ONNX's after it."""
    network = _Network(node, 4, ["Sigmoid", "Tanh", "Tanh"])
    hidden, cell, peephole = network.state(5), network.state(6), node.optional(7)
    coupled = bool(node.get_int("input_forget", 0))
    size = network.hidden
    looks_ahead = peephole is not None and (
        peephole.constant is None or bool(peephole.constant[:, size : 2 * size].any())
    )
    forgets = network.lengths is not None and any(network.reversed) and not _is_zero(hidden)
    if not network.is_plain or coupled or looks_ahead or forgets:
        return network.spelled_out(_lstm_step(peephole, coupled), [hidden, cell])
    network.hold(-_SATURATED, -_SATURATED, _SATURATED, 0)

    def run(
        direction: MLRecurrentNetworkDirection, activations: list[MLRecurrentNetworkActivation], cut: Cut
    ) -> list[MLOperand]:
        return node.builder.lstm(
            network.x,
            cut(network.weight),
            cut(network.recurrent),
            network.steps,
            network.hidden,
            bias=cut(network.biases[0]),
            recurrent_bias=cut(network.biases[1]),
            peephole_weight=cut(peephole),
            initial_hidden_state=cut(hidden),
            initial_cell_state=cut(cell),
            return_sequence=network.reads_sequence,
            direction=direction,
            layout=_LSTM_LAYOUT,
            activations=activations,
        )

    return network.native(run)


def _is_zero(x: MLOperand | None) -> bool:
    return x is None or (x.constant is not None and not x.constant.any())


def _lstm_step(peephole: MLOperand | None, coupled: bool) -> Step:
    def step(cell: _Cell, x: MLOperand, states: list[MLOperand]) -> list[MLOperand]:
        b, (hidden, memory) = cell.builder, states
        entering, output, forget, new = cell.gates(b.add(x, cell.recur(hidden, 0, 4)), 4)

        def seen(gate: MLOperand, state: MLOperand, which: int) -> MLOperand:
            """The gate and what it sees of the cell's state through its peephole."""
            if peephole is None:
                return gate
            weights = part(cell.node, peephole, 0, cell.direction, 1)
            size = hidden.shape[1]
            return b.add(gate, b.mul(part(cell.node, weights, 1, which * size, size), state))

        entering = cell.activate(0, seen(entering, memory, 0))
        forget = b.linear(entering, alpha=-1, beta=1) if coupled else cell.activate(0, seen(forget, memory, 2))
        memory = b.add(b.mul(forget, memory), b.mul(entering, cell.activate(1, new)))
        output = cell.activate(0, seen(output, memory, 1))
        return [b.mul(output, cell.activate(2, memory, clipped=False)), memory]

    return step
