"""Recurrent networks: one operator where WebNN has it, or else one step after the other.

WebNN's `lstm` and `gru` have the activations relu, sigmoid and tanh. Networks with other activations, with clipping or
coupled gates are spelled out.
"""

from __future__ import annotations

from typing import Final, Literal

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.patterns.recurrent_network import Cut, Network
from webnn.formats.onnx.patterns.unrolled_cells import gru_step, lstm_step, rnn_step, spelled_out
from webnn.graph.operand import MLOperand
from webnn.graph.operators.recurrent import MLRecurrentNetworkActivation, MLRecurrentNetworkDirection

__all__: list[str] = []

_SATURATED: Final = 1e4
"""Where a sigmoid is 1, whatever else a gate adds; and float16 has it."""


@imports("RNN")
def rnn(node: OnnxNode) -> Imported:
    """A GRU, as far as it has the activation: one whose update gate is always 0, and whose reset gate is always 1."""
    network = Network(node, 1, ["Tanh"])
    initial = network.state(5)
    if not network.is_plain:
        return spelled_out(network, rnn_step, [initial])
    network.become_gru()
    network.hold(1, 0, 0)
    return _native_gru(network, initial, reset_after=True)


@imports("GRU")
def gru(node: OnnxNode) -> Imported:
    """One operator, as far as WebNN has it."""
    network = Network(node, 3, ["Sigmoid", "Tanh"])
    reset_after = bool(node.get_int("linear_before_reset", 0))
    initial = network.state(5)
    if not network.is_plain:
        return spelled_out(network, gru_step(reset_after=reset_after), [initial])
    network.hold(_SATURATED, 0, 0)
    return _native_gru(network, initial, reset_after=reset_after)


def _native_gru(network: Network, initial: MLOperand | None, *, reset_after: bool) -> Imported:
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


_LSTM_LAYOUT: Final[Literal["iofg"]] = "iofg"


@imports("LSTM")
def lstm(node: OnnxNode) -> Imported:
    """One operator, as far as WebNN has it. Its output gate looks at the cell before the step, ONNX's after it."""
    network = Network(node, 4, ["Sigmoid", "Tanh", "Tanh"])
    hidden, cell, peephole = network.state(5), network.state(6), node.optional(7)
    coupled = bool(node.get_int("input_forget", 0))
    size = network.hidden
    looks_ahead = peephole is not None and (
        peephole.constant is None or bool(peephole.constant[:, size : 2 * size].any())
    )
    forgets = network.lengths is not None and any(network.reversed) and not _is_zero(hidden)
    if not network.is_plain or coupled or looks_ahead or forgets:
        return spelled_out(network, lstm_step(peephole, coupled=coupled), [hidden, cell])
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
