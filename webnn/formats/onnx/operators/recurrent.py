"""RNN, GRU and LSTM, by WebNN's `gru` and `lstm` if these have all options, or else a composite.

WebNN's operators have the activations relu, sigmoid and tanh. Networks with other activations, with clipping or with
coupled gates are composites.
"""

from __future__ import annotations

from typing import Final, Literal

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.patterns.recurrent_network import PickDirection, RecurrentNetwork
from webnn.graph.operand import MLOperand
from webnn.graph.operators.recurrent import MLRecurrentNetworkActivation, MLRecurrentNetworkDirection

__all__: list[str] = []

_SATURATED: Final = 1e4
"""A number within float16 at which a sigmoid is 1, whatever else a gate adds."""


@imports("RNN")
def rnn(node: OnnxNode) -> Imported:
    """A GRU whose update gate is always 0 and whose reset gate is always 1, or a composite."""
    network = RecurrentNetwork(node, 1, ["Tanh"])
    initial = network.state(5)
    if not network.is_native:
        return network.spelled_in_onnx("RNN", [initial])
    network.become_gru()
    network.hold_state(1, 0, 0)
    return _native_gru(network, initial, reset_after=True)


@imports("GRU")
def gru(node: OnnxNode) -> Imported:
    """One operator, or a composite."""
    network = RecurrentNetwork(node, 3, ["Sigmoid", "Tanh"])
    reset_after = bool(node.get_int("linear_before_reset", 0))
    initial = network.state(5)
    if not network.is_native:
        return network.spelled_in_onnx("GRU", [initial], reset_after=reset_after)
    network.hold_state(_SATURATED, 0, 0)
    return _native_gru(network, initial, reset_after=reset_after)


def _native_gru(network: RecurrentNetwork, initial: MLOperand | None, *, reset_after: bool) -> Imported:
    node = network.node

    def run(
        direction: MLRecurrentNetworkDirection, activations: list[MLRecurrentNetworkActivation], pick: PickDirection
    ) -> list[MLOperand]:
        return node.builder.gru(
            network.x,
            pick(network.weight),
            pick(network.recurrent),
            network.steps,
            network.hidden,
            bias=pick(network.biases[0]),
            recurrent_bias=pick(network.biases[1]),
            initial_hidden_state=pick(initial),
            reset_after=reset_after,
            return_sequence=network.reads_sequence,
            direction=direction,
            activations=activations,
        )

    return network.native_outputs(run)


_LSTM_LAYOUT: Final[Literal["iofg"]] = "iofg"


@imports("LSTM")
def lstm(node: OnnxNode) -> Imported:
    """One operator, or a composite. WebNN's output gate sees the cell state before the step, ONNX's after it."""
    network = RecurrentNetwork(node, 4, ["Sigmoid", "Tanh", "Tanh"])
    hidden, cell, peephole = network.state(5), network.state(6), node.optional(7)
    coupled = bool(node.get_int("input_forget", 0))
    size = network.hidden
    looks_ahead = peephole is not None and (
        peephole.constant is None or bool(peephole.constant[:, size : 2 * size].any())
    )
    forgets = network.lengths is not None and any(network.reversed) and not _is_zero(hidden)
    if not network.is_native or coupled or looks_ahead or forgets:
        return network.spelled_in_onnx("LSTM", [hidden, cell], peephole=peephole, coupled=coupled)
    network.hold_state(-_SATURATED, -_SATURATED, _SATURATED, 0)

    def run(
        direction: MLRecurrentNetworkDirection, activations: list[MLRecurrentNetworkActivation], pick: PickDirection
    ) -> list[MLOperand]:
        return node.builder.lstm(
            network.x,
            pick(network.weight),
            pick(network.recurrent),
            network.steps,
            network.hidden,
            bias=pick(network.biases[0]),
            recurrent_bias=pick(network.biases[1]),
            peephole_weight=pick(peephole),
            initial_hidden_state=pick(hidden),
            initial_cell_state=pick(cell),
            return_sequence=network.reads_sequence,
            direction=direction,
            layout=_LSTM_LAYOUT,
            activations=activations,
        )

    return network.native_outputs(run)


def _is_zero(x: MLOperand | None) -> bool:
    return x is None or (x.constant is not None and not x.constant.any())
