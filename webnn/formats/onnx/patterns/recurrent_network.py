"""The inputs, options and outputs that LSTM, GRU and RNN share, and how WebNN's operators compute them.

WebNN has `lstm` and `gru` with the activations relu, sigmoid and tanh, over whole sequences. An RNN becomes a GRU with
constant gates. For sequences of different lengths, gates hold the state beyond the end of each sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.folded_movement import extended_by, sliced
from webnn.graph.composites.composite import is_kept
from webnn.graph.composites.recurrent_network import ACTIVATIONS, Activation, RecurrentKind, recurrence
from webnn.graph.operand import MLOperand
from webnn.graph.operators.recurrent import MLRecurrentNetworkActivation, MLRecurrentNetworkDirection

__all__ = ["PickDirection", "RecurrentNetwork"]

_NATIVE: Final[dict[str, MLRecurrentNetworkActivation]] = {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh"}


def _activations(node: OnnxNode, default: Sequence[str], directions: int) -> list[list[Activation]]:
    """The activations of each direction. Alphas and betas go, in order, to the activations that take them."""
    names = [name.lower() for name in node.get_strings("activations", list(default) * directions)]
    if len(names) != len(default) * directions:
        raise DataError(f"activations must be {len(default) * directions} names, got {names}")
    alphas, betas = node.get_floats("activation_alpha", ()), node.get_floats("activation_beta", ())
    result = []
    for name in names:
        if name not in ACTIVATIONS:
            raise UnsupportedNodeError(f"its activation {name!r} is unknown", ", ".join(ACTIVATIONS))
        parameters = list(ACTIVATIONS[name][0])
        for i, given in zip(range(len(parameters)), (alphas, betas), strict=False):
            if given:
                parameters[i] = given.pop(0)
        result.append(Activation(name, tuple(parameters)))
    each = len(default)
    return [result[i : i + each] for i in range(0, len(result), each)]


PickDirection: TypeAlias = Callable[[MLOperand | None], Any]
"""A function that takes one direction out of a weight or state."""


class RecurrentNetwork:
    """An LSTM, GRU or RNN: its inputs, in the layout `[steps, batch, ...]`, and its outputs."""

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
        self.biases = [None if bias is None else sliced(node, bias, 1, i * bias.shape[1] // 2, bias.shape[1] // 2)
                       for i in (0, 1)]  # fmt: skip
        self.gates = gates
        self.activations = _activations(node, activations, self.directions)
        self.clip = node.get_float("clip", 0.0)
        self.lengths = self._lengths()
        self._after_end: MLOperand | None = None
        """Where steps are after the end of their sequence, `[steps, batch, 1]`; once `hold_state` was called."""

    def _lengths(self) -> MLOperand | None:
        """The length of each sequence, or None if all are as long as the input."""
        known = self.node.known(4)
        if not self.node.has(4) or (known is not None and (known == self.steps).all()):
            return None
        return self.node.operand(4)

    def steps_first(self, index: int) -> MLOperand:
        """Input `index` with the batch as the second axis, as in WebNN."""
        x = self.node.operand(index)
        return self.node.builder.transpose(x, permutation=[1, 0, 2]) if self.batch_first else x

    def state(self, index: int) -> MLOperand | None:
        """An initial state, `[directions, batch, hidden]`."""
        return self.steps_first(index) if self.node.has(index) else None

    @property
    def reads_sequence(self) -> bool:
        """Whether the hidden state of each step is read, by the model or to find the last one."""
        return self.node.reads(0) or self.lengths is not None

    @property
    def is_native(self) -> bool:
        """Whether WebNN's operators have all options, and gates that `hold_state` can set if there are lengths.

        A backend that takes the composite stops at the lengths, which is faster than to go on and hold the state.
        """
        return (
            not self.clip
            and (self.lengths is None or not is_kept(self.node.builder, "recurrent_network"))
            and all(a.name in _NATIVE for each in self.activations for a in each)
            and (self.lengths is None or self.gates == 1 or all(each[0].name == "sigmoid" for each in self.activations))
        )

    def become_gru(self) -> None:
        """Put two constant gates in front; with the activation relu their biases 0 and 1 are exact."""
        size, directions = self.hidden, self.directions
        self.weight, self.recurrent = (
            extended_by(self.node, x, np.zeros((directions, 2 * size, x.shape[2]), self.dtype), 1, before=True)
            for x in (self.weight, self.recurrent)
        )
        constant = np.repeat(np.array([[0, 1]] * directions, self.dtype), size, 1)
        zeros = np.zeros_like(constant)
        bias, recurrent = self.biases
        nothing = np.zeros((directions, size), self.dtype)
        bias = self.node.constant(nothing) if bias is None else bias
        self.biases = [
            extended_by(self.node, bias, constant, 1, before=True),
            None if recurrent is None else extended_by(self.node, recurrent, zeros, 1, before=True),
        ]
        self.activations = [[Activation("relu", ()), *each] for each in self.activations]

    def hold_state(self, *gates: float) -> None:
        """Make the gates sums of at least `gates` in steps beyond the lengths, where the input is zero.

        For that, each step gets one more feature, which is 1 beyond the length, with weights of its own.
        """
        if self.lengths is None:
            return
        b, x = self.node.builder, self.x
        steps = self.node.constant(np.arange(self.steps, dtype=self.lengths.descriptor.dtype).reshape(-1, 1, 1))
        self._after_end = b.greater_or_equal(steps, b.reshape(self.lengths, [1, self.batch, 1]))
        self.x = b.concat(
            [b.where(self._after_end, self.node.scalar(x, 0), x), b.cast(self._after_end, x.data_type)], 2
        )
        weights = np.repeat(np.array(gates, self.dtype), self.hidden).reshape(1, -1, 1)
        self.weight = extended_by(self.node, self.weight, np.repeat(weights, self.directions, 0), 2)

    def native_outputs(
        self,
        run: Callable[
            [MLRecurrentNetworkDirection, list[MLRecurrentNetworkActivation], PickDirection], list[MLOperand]
        ],
    ) -> Imported:
        """The outputs of one operator, or of one for each direction if their activations differ.

        `run` takes the direction, the activations, and a function that picks one direction of weights.
        """
        names = [[_NATIVE[a.name] for a in activations] for activations in self.activations]
        if self.directions == 2 and names[0] == names[1]:
            return self.outputs(run("both", names[0], lambda x: x))

        def pick(i: int) -> PickDirection:
            return lambda x: None if x is None else sliced(self.node, x, 0, i, 1)

        words: dict[bool, MLRecurrentNetworkDirection] = {False: "forward", True: "backward"}
        parts = [run(words[back], names[i], pick(i)) for i, back in enumerate(self.reversed)]
        return self.outputs(self.join_directions(parts))

    def join_directions(self, parts: list[list[MLOperand]]) -> list[MLOperand]:
        """States and sequences of single directions joined to those of both."""
        if len(parts) == 1:
            return parts[0]
        return [
            self.node.builder.concat(list(same), 0 if same[0].rank == 3 else 1) for same in zip(*parts, strict=True)
        ]

    def outputs(self, found: list[MLOperand]) -> Imported:
        """The node's outputs from WebNN's: the last states, then the sequence if it was asked for."""
        b = self.node.builder
        sequence = found.pop() if self.reads_sequence else None
        if self._after_end is not None and sequence is not None:
            after_end = b.reshape(self._after_end, [self.steps, 1, self.batch, 1])
            sequence = b.where(after_end, self.node.scalar(sequence, 0), sequence)
            if len(found) == 2:
                found[0] = self._last_of(sequence, found[0])
        if self.batch_first:
            found = [b.transpose(state, permutation=[1, 0, 2]) for state in found]
            sequence = None if sequence is None else b.transpose(sequence, permutation=[2, 0, 1, 3])
        return [sequence, *found]

    def _last_of(self, sequence: MLOperand, final: MLOperand) -> MLOperand:
        """The last hidden states of an LSTM, whose held output gates are 0: forward ones are taken at the lengths."""
        b = self.node.builder
        assert self.lengths is not None
        last = b.sub(b.reshape(self.lengths, [1, self.batch, 1]), self.node.scalar(self.lengths, 1))
        steps = self.node.constant(np.arange(self.steps, dtype=self.lengths.descriptor.dtype).reshape(-1, 1, 1))
        chosen = b.reshape(b.cast(b.equal(steps, last), sequence.data_type), [self.steps, 1, self.batch, 1])
        parts = [
            sliced(self.node, final, 0, i, 1)
            if back
            else b.reduce_sum(b.mul(sliced(self.node, sequence, 1, i, 1), chosen), axes=[0])
            for i, back in enumerate(self.reversed)
        ]
        return b.concat(parts, 0) if len(parts) > 1 else parts[0]

    def spelled_in_onnx(
        self,
        kind: RecurrentKind,
        states: Sequence[MLOperand | None],
        *,
        peephole: MLOperand | None = None,
        coupled: bool = False,
        reset_after: bool = False,
    ) -> Imported:
        """The outputs of a network with options that WebNN's operators lack."""
        hidden, cell = (*states, None)[:2]
        single: MLRecurrentNetworkDirection = "backward" if self.reversed[0] else "forward"
        found = recurrence(
            self.node.builder,
            kind,
            {
                "input": self.x,
                "weight": self.weight,
                "recurrent_weight": self.recurrent,
                "bias": self.node.optional(3),
                "lengths": self.lengths,
                "initial_hidden_state": hidden,
                "initial_cell_state": cell,
                "peephole_weight": peephole,
            },
            direction="both" if self.directions == 2 else single,
            activations=[each for of_direction in self.activations for each in of_direction],
            returns_sequence=self.reads_sequence,
            clip=self.clip,
            coupled=coupled,
            reset_after=reset_after,
        )
        return self.outputs(found)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the input, and of the constants that are made for it."""
        return self.x.descriptor.dtype
