"""RNN, GRU and LSTM with options that WebNN's operators lack: as ONNX defines them, or unrolled step by step.

These options are activations with parameters, clipping, coupled gates, peepholes through which the output gate sees the
new cell state, and lengths of sequences where WebNN's gates cannot hold the state. Weights have ONNX's layouts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Attribute, Node
from webnn.graph.operand import MLOperand
from webnn.graph.operators.recurrent import MLRecurrentNetworkDirection
from webnn.graph.quick_dataclass import dataclass

__all__ = ["ACTIVATIONS", "Activation", "RecurrentKind", "recurrence"]

RecurrentKind: TypeAlias = Literal["RNN", "GRU", "LSTM"]
_Apply: TypeAlias = Callable[[Builder, MLOperand, float, float], MLOperand]

_MAX_STEPS: Final = 512
"""The most steps that are unrolled; each takes about twenty operators."""
_GATES: Final[Mapping[str, int]] = {"RNN": 1, "GRU": 3, "LSTM": 4}
_EACH: Final[Mapping[str, int]] = {"RNN": 1, "GRU": 2, "LSTM": 3}
"""The activations of one direction."""


def _thresholded(b: Builder, x: MLOperand, alpha: float, _beta: float) -> MLOperand:
    zero, bound = b.constant(x.data_type, 0), b.constant(x.data_type, alpha)
    return b.where(b.greater_or_equal(x, bound), x, zero)


ACTIVATIONS: Final[dict[str, tuple[tuple[float, ...], _Apply]]] = {
    "relu": ((), lambda b, x, _alpha, _beta: b.relu(x)),
    "sigmoid": ((), lambda b, x, _alpha, _beta: b.sigmoid(x)),
    "tanh": ((), lambda b, x, _alpha, _beta: b.tanh(x)),
    "affine": ((0.0, 0.0), lambda b, x, alpha, beta: b.linear(x, alpha=alpha, beta=beta)),
    "leakyrelu": ((0.01,), lambda b, x, alpha, _beta: b.leaky_relu(x, alpha=alpha)),
    "thresholdedrelu": ((0.0,), _thresholded),
    "scaledtanh": ((0.0, 0.0), lambda b, x, alpha, beta: b.linear(b.tanh(b.linear(x, alpha=beta)), alpha=alpha)),
    "hardsigmoid": ((0.2, 0.5), lambda b, x, alpha, beta: b.hard_sigmoid(x, alpha=alpha, beta=beta)),
    "elu": ((1.0,), lambda b, x, alpha, _beta: b.elu(x, alpha=alpha)),
    "softsign": ((), lambda b, x, _alpha, _beta: b.softsign(x)),
    "softplus": ((), lambda b, x, _alpha, _beta: b.softplus(x)),
}
"""The activations: defaults of alpha and beta in ONNX Runtime, if they have these, and the function."""


@dataclass(frozen=True, slots=True)
class Activation:
    """One of `ACTIVATIONS` with its alpha and beta, as far as it has these."""

    name: str
    parameters: tuple[float, ...]

    def __call__(self, b: Builder, x: MLOperand) -> MLOperand:
        """The activation of `x`."""
        alpha, beta, *_ = (*self.parameters, 0.0, 0.0)
        return ACTIVATIONS[self.name][1](b, x, alpha, beta)


def recurrence(
    b: Builder,
    kind: RecurrentKind,
    operands: Mapping[str, MLOperand | None],
    *,
    direction: MLRecurrentNetworkDirection,
    activations: Sequence[Activation],
    returns_sequence: bool,
    clip: float,
    coupled: bool,
    reset_after: bool,
) -> list[MLOperand]:
    """The last hidden state, of an LSTM the last cell state, and the hidden states of all steps if these are returned.

    Args:
        b: takes the node.
        kind: of the network.
        operands: `input`, `[steps, batch, inputs]`; `weight`, `[directions, gates * hidden, inputs]`, and
            `recurrent_weight`, `[directions, gates * hidden, hidden]`, the gates in ONNX's order. These may be None:
            `bias`, `[directions, 2 * gates * hidden]`; `lengths` of the sequences, `[batch]`, int32;
            `initial_hidden_state` and `initial_cell_state`, `[directions, batch, hidden]`; and `peephole_weight`,
            `[directions, 3 * hidden]`.
        direction: "forward", "backward" or "both".
        activations: of the first direction, then of the second.
        returns_sequence: whether the hidden states of all steps are a result, `[steps, directions, batch, hidden]`.
        clip: the bound of what activations get; 0 for none.
        coupled: the forget gate of an LSTM is 1 minus the input gate.
        reset_after: the reset gate of a GRU is applied after the product with the recurrent weights.
    """
    x, recurrent = operands["input"], operands["recurrent_weight"]
    assert x is not None
    assert recurrent is not None
    (steps, batch, _), (directions, _, hidden) = x.shape, recurrent.shape
    state = MLOperandDescriptor(x.data_type, [directions, batch, hidden])
    outputs = [state] * (2 if kind == "LSTM" else 1)
    if returns_sequence:
        outputs.append(MLOperandDescriptor(x.data_type, [steps, directions, batch, hidden]))
    options: dict[str, Attribute] = {
        "kind": kind,
        "hidden_size": hidden,
        "steps": steps,
        "direction": direction,
        "activations": tuple(each.name for each in activations),
        "alphas": tuple(number for each in activations for number in each.parameters[:1]),
        "betas": tuple(number for each in activations for number in each.parameters[1:]),
        "clip": clip,
        "coupled": coupled,
        "reset_after": reset_after,
    }
    given = {name: operand for name, operand in operands.items() if operand is not None}
    return compose(b, "recurrent_network", given, outputs, **options)


@composite
def recurrent_network(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Each direction unrolled separately."""
    steps: int = node.attributes["steps"]
    if steps > _MAX_STEPS:
        raise NotSupportedError(
            f"{node.where}: WebNN has no operator for its options, and its {steps} steps are too many to unroll; use "
            f"at most {_MAX_STEPS} steps; or relu, sigmoid and tanh without clip, input_forget and sequence_lens"
        )
    directions = {"forward": [False], "backward": [True], "both": [False, True]}[node.attributes["direction"]]
    runs = [_run(_Cell(b, node, i), back) for i, back in enumerate(directions)]
    if len(runs) == 1:
        return runs[0]
    return [b.concat(list(same), 0 if same[0].rank == 3 else 1) for same in zip(*runs, strict=True)]


def _activations(node: Node, direction: int) -> list[Activation]:
    alphas, betas = iter(node.attributes["alphas"]), iter(node.attributes["betas"])
    result = []
    for name in node.attributes["activations"]:
        count = len(ACTIVATIONS[name][0])
        result.append(Activation(name, tuple(next(each) for each in (alphas, betas)[:count])))
    each = _EACH[node.attributes["kind"]]
    return result[direction * each : (direction + 1) * each]


def _part(b: Builder, x: MLOperand, axis: int, start: int, size: int) -> MLOperand:
    """`size` elements of `x` along `axis`, from `start` on; of a constant, a constant."""
    if x.shape[axis] == size:
        return x
    if x.constant is not None:
        where = (*(slice(None) for _ in range(axis)), slice(start, start + size))
        return b.constant(np.ascontiguousarray(x.constant[where]))
    starts, sizes = [0] * x.rank, list(x.shape)
    starts[axis], sizes[axis] = start, size
    return b.slice(x, starts, sizes)


class _Cell:
    """One direction of a network: the weights and activations of its steps."""

    def __init__(self, builder: Builder, node: Node, direction: int) -> None:
        self.builder = builder
        self.node = node
        self.direction = direction
        self.hidden: int = node.attributes["hidden_size"]
        self.clip: float = node.attributes["clip"]
        self.weight, self.recurrent = (
            builder.transpose(self.own(node[name])) for name in ("weight", "recurrent_weight")
        )
        bias = node.get("bias")
        rows = _GATES[node.attributes["kind"]] * self.hidden
        self.bias, self.recurrent_bias = (
            None if bias is None else self.own(_part(builder, bias, 1, i * rows, rows)) for i in (0, 1)
        )
        self._activations = _activations(node, direction)

    def own(self, x: MLOperand) -> MLOperand:
        """This direction's part of `x`, without the axis of directions."""
        return self.builder.reshape(_part(self.builder, x, 0, self.direction, 1), x.shape[1:])

    def recur(self, hidden: MLOperand, first: int, count: int) -> MLOperand:
        """`hidden` times the recurrent weights of some gates, plus their recurrent bias."""
        b, size, at = self.builder, self.hidden * count, self.hidden * first
        bias = None if self.recurrent_bias is None else _part(b, self.recurrent_bias, 0, at, size)
        return b.gemm(hidden, _part(b, self.recurrent, 1, at, size), c=bias)

    def gates(self, x: MLOperand, count: int) -> list[MLOperand]:
        """`x` split into gates."""
        return self.builder.split(x, count, axis=1)

    def activate(self, which: int, x: MLOperand, *, clipped: bool = True) -> MLOperand:
        """Activation `which` of `x`, which is clipped first if the network clips."""
        if self.clip and clipped:
            x = self.builder.clamp(x, min_value=-self.clip, max_value=self.clip)
        return self._activations[which](self.builder, x)


def _run(cell: _Cell, back: bool) -> list[MLOperand]:
    """The last states of one direction, and its sequence if that is returned."""
    b, node = cell.builder, cell.node
    x, kind, lengths = node["input"], node.attributes["kind"], node.get("lengths")
    steps, batch, size = x.shape
    step = {"RNN": _rnn_step, "GRU": _gru_step, "LSTM": _lstm_step}[kind]
    zeros: Any = b.constant(np.zeros((batch, cell.hidden), x.descriptor.dtype))
    names = ["initial_hidden_state", "initial_cell_state"][: 2 if kind == "LSTM" else 1]
    states = [zeros if (state := node.get(name)) is None else cell.own(state) for name in names]
    rows = b.reshape(x, [steps * batch, size])
    inputs = b.reshape(b.gemm(rows, cell.weight, c=cell.bias), [steps, batch, cell.weight.shape[1]])
    parts = b.split(inputs, steps) if steps > 1 else [inputs]
    sequence: list[MLOperand | None] = [None] * steps
    for t in reversed(range(steps)) if back else range(steps):
        new = step(cell, b.reshape(parts[t], inputs.shape[1:]), states)
        hidden = new[0]
        if lengths is not None:
            inside = b.reshape(b.greater(lengths, b.constant(lengths.data_type, t)), [batch, 1])
            new = [b.where(inside, now, before) for now, before in zip(new, states, strict=True)]
            hidden = b.where(inside, hidden, b.constant(hidden.data_type, 0))
        states, sequence[t] = new, hidden
    found = [b.reshape(state, [1, *state.shape]) for state in states]
    if len(node.outputs) > len(states):
        each = [b.reshape(hidden, [1, 1, *hidden.shape]) for hidden in sequence if hidden is not None]
        found.append(b.concat(each, 0))
    return found


# Steps: the new states, the hidden one first, from the input's part of the gates and the previous states.


def _rnn_step(cell: _Cell, x: MLOperand, states: list[MLOperand]) -> list[MLOperand]:
    return [cell.activate(0, cell.builder.add(x, cell.recur(states[0], 0, 1)))]


def _gru_step(cell: _Cell, x: MLOperand, states: list[MLOperand]) -> list[MLOperand]:
    b, (hidden,) = cell.builder, states
    is_after = cell.node.attributes["reset_after"]
    x_update, x_reset, x_new = cell.gates(x, 3)
    update, reset, *new = cell.gates(cell.recur(hidden, 0, 3 if is_after else 2), 3 if is_after else 2)
    update = cell.activate(0, b.add(x_update, update))
    reset = cell.activate(0, b.add(x_reset, reset))
    added = b.mul(reset, new[0]) if is_after else cell.recur(b.mul(reset, hidden), 2, 1)
    mixed = b.mul(b.linear(update, alpha=-1, beta=1), cell.activate(1, b.add(x_new, added)))
    return [b.add(mixed, b.mul(update, hidden))]


def _lstm_step(cell: _Cell, x: MLOperand, states: list[MLOperand]) -> list[MLOperand]:
    b, (hidden, memory) = cell.builder, states
    peephole = cell.node.get("peephole_weight")
    entering, output, forget, new = cell.gates(b.add(x, cell.recur(hidden, 0, 4)), 4)

    def seen(gate: MLOperand, state: MLOperand, which: int) -> MLOperand:
        """The gate plus its peephole's share of the cell state."""
        if peephole is None:
            return gate
        weights = _part(b, peephole, 0, cell.direction, 1)
        return b.add(gate, b.mul(_part(b, weights, 1, which * cell.hidden, cell.hidden), state))

    entering = cell.activate(0, seen(entering, memory, 0))
    is_coupled = cell.node.attributes["coupled"]
    forget = b.linear(entering, alpha=-1, beta=1) if is_coupled else cell.activate(0, seen(forget, memory, 2))
    memory = b.add(b.mul(forget, memory), b.mul(entering, cell.activate(1, new)))
    output = cell.activate(0, seen(output, memory, 1))
    return [b.mul(output, cell.activate(2, memory, clipped=False)), memory]
