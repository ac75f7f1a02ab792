"""LSTM, GRU and RNN, compared with ONNX Runtime or the reference evaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from tests.onnx_nodes import Array, Fixed, by_onnxruntime, check_node, computed, node_model, random
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import NotSupportedError
from webnn.formats.onnx import import_onnx

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STEPS, BATCH, INPUT, HIDDEN = 4, 2, 3, 5

Given = Array | Fixed | None


def inputs_of(op_type: str, directions: int, *given: str, half: bool = False) -> list[Given]:
    """Random inputs: X, W, R, and those of B, h, c and P that are given. Weights are constants."""
    rows = GATES[op_type] * HIDDEN
    x = random(0, STEPS, BATCH, INPUT)
    weights = [Fixed(random(i, directions, rows, size) / 2) for i, size in ((1, INPUT), (2, HIDDEN))]
    bias = Fixed(random(3, directions, 2 * rows)) if "B" in given else None
    hidden, cell = (random(i, directions, BATCH, HIDDEN) if n in given else None for i, n in ((4, "h"), (5, "c")))
    peephole = Fixed(random(6, directions, 3 * HIDDEN)) if "P" in given else None
    inputs: list[Given] = [x, *weights, bias, None, hidden]
    return [*inputs, cell, peephole] if op_type == "LSTM" else inputs


def outputs_of(op_type: str) -> list[bool]:
    return [True] * (3 if op_type == "LSTM" else 2)


def directions_of(direction: str) -> int:
    return 2 if direction == "bidirectional" else 1


def operators(op_type: str, inputs: list[Given], **options: Any) -> list[str]:
    """The operators that a node becomes."""
    model, _ = node_model(op_type, inputs, hidden_size=HIDDEN, **options)
    builder = direct_builder()
    return [node.op for node in builder.build(import_onnx(model, builder)).nodes]


@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("given", ["", "B", "Bhc"])
def test_all_directions_with_and_without_bias_and_states(
    backend: Backend, op_type: str, direction: str, given: str
) -> None:
    inputs = inputs_of(op_type, directions_of(direction), *given)
    check_node(backend, op_type, inputs, outputs=outputs_of(op_type), hidden_size=HIDDEN, direction=direction)


@pytest.mark.parametrize("read", [(True, False, False), (False, True, False), (False, False, True)])
def test_each_output_may_be_the_only_one_that_is_read(backend: Backend, read: tuple[bool, ...]) -> None:
    check_node(backend, "LSTM", inputs_of("LSTM", 1, "B"), outputs=read, hidden_size=HIDDEN)
    if any(read[:2]):
        check_node(backend, "GRU", inputs_of("GRU", 1, "B"), outputs=read[:2], hidden_size=HIDDEN)
        check_node(backend, "RNN", inputs_of("RNN", 1, "B"), outputs=read[:2], hidden_size=HIDDEN)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_the_reset_gate_of_a_gru_comes_before_or_after(backend: Backend, direction: str) -> None:
    inputs = inputs_of("GRU", directions_of(direction), "B", "h")
    for after in (0, 1):
        options = {"linear_before_reset": after, "hidden_size": HIDDEN, "direction": direction}
        check_node(backend, "GRU", inputs, outputs=[True, True], **options)
        check_node(backend, "GRU", inputs, outputs=[True, True], clip=0.4, **options)


def test_a_network_that_webnn_has_is_one_operator() -> None:
    assert operators("LSTM", inputs_of("LSTM", 2, "B", "h", "c"), direction="bidirectional") == ["lstm"]
    assert operators("GRU", inputs_of("GRU", 2, "B", "h"), direction="bidirectional") == ["gru"]
    assert operators("LSTM", inputs_of("LSTM", 1), activations=["Relu", "Tanh", "Sigmoid"]) == ["lstm"]
    inputs = inputs_of("LSTM", 1)
    inputs[4] = Fixed(np.full(BATCH, STEPS, np.int32))
    assert operators("LSTM", inputs) == ["lstm"]
    peephole = random(0, 1, 3 * HIDDEN)
    peephole[:, HIDDEN : 2 * HIDDEN] = 0
    inputs[7] = Fixed(peephole)
    assert operators("LSTM", inputs) == ["lstm"]


@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("given", ["Bhc", "Bc"])
@pytest.mark.parametrize("fixed", [True, False])
def test_sequences_of_several_lengths(backend: Backend, op_type: str, direction: str, given: str, fixed: bool) -> None:
    inputs = inputs_of(op_type, directions_of(direction), *given)
    lengths = np.array([2, 4], np.int32)
    inputs[4] = Fixed(lengths) if fixed else lengths
    options = {"outputs": outputs_of(op_type), "hidden_size": HIDDEN, "direction": direction}
    check_node(backend, op_type, inputs, **options)
    if given == "Bc":
        found = operators(op_type, inputs, outputs=outputs_of(op_type), direction=direction)
        assert found.count({"RNN": "gru"}.get(op_type, op_type.lower())) == 1
        assert {"gemm", "tanh"}.isdisjoint(found)


@pytest.mark.parametrize("op_type", GATES)
def test_elements_beyond_the_end_of_a_sequence_do_not_matter(backend: Backend, op_type: str) -> None:
    inputs = inputs_of(op_type, 2, "B")
    x = inputs[0]
    assert isinstance(x, np.ndarray)
    x[2:, 0] = 0
    inputs[4] = np.array([2, 4], np.int32)
    options = {"outputs": outputs_of(op_type), "hidden_size": HIDDEN, "direction": "bidirectional"}
    expected = check_node(backend, op_type, inputs, **options)
    x[2:, 0] = np.nan
    check_node(backend, op_type, inputs, expected=lambda _model, _feeds: expected, **options)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("given", ["", "Bh"])
def test_an_rnn_is_a_gru_with_constant_gates(backend: Backend, direction: str, given: str) -> None:
    inputs = inputs_of("RNN", directions_of(direction), *given)
    assert operators("RNN", inputs, direction=direction) == ["gru"]
    computed_weights = [i.array if isinstance(i, Fixed) else i for i in inputs]
    check_node(backend, "RNN", computed_weights, outputs=[True] * 2, hidden_size=HIDDEN, direction=direction)
    check_node(backend, "RNN", [random(0, 600, BATCH, INPUT), *inputs[1:]], hidden_size=HIDDEN, direction=direction)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("given", ["", "B", "Bh"])
def test_a_gru_with_constant_gates_is_an_rnn_again_for_onnxruntime(direction: str, given: str) -> None:
    inputs = inputs_of("RNN", directions_of(direction), *given)
    model, _ = node_model("RNN", inputs, outputs=[True, True], hidden_size=HIDDEN, direction=direction)
    builder = direct_builder()
    lowered = lower(builder.build(import_onnx(model, builder))).finish()
    assert "RNN" in [node.op_type for node in lowered.graph.node]
    assert "GRU" not in [node.op_type for node in lowered.graph.node]


def test_a_gru_with_gates_stays_one() -> None:
    model, _ = node_model("GRU", inputs_of("GRU", 1, "B"), hidden_size=HIDDEN, activations=["Relu", "Tanh"])
    builder = direct_builder()
    lowered = lower(builder.build(import_onnx(model, builder))).finish()
    assert "GRU" in [node.op_type for node in lowered.graph.node]


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_peepholes_see_the_cell_before_the_step_and_the_output_gate_after_it(backend: Backend, direction: str) -> None:
    directions = directions_of(direction)
    inputs = inputs_of("LSTM", directions, "B", "h", "c", "P")
    options = {"outputs": [True] * 3, "hidden_size": HIDDEN, "direction": direction}
    check_node(backend, "LSTM", inputs, **options)
    peephole = random(7, directions, 3 * HIDDEN)
    peephole[:, HIDDEN : 2 * HIDDEN] = 0
    inputs[7] = Fixed(peephole)
    check_node(backend, "LSTM", inputs, **options)
    inputs[7] = peephole
    check_node(backend, "LSTM", inputs, **options)


def test_coupled_gates_and_clipping(backend: Backend) -> None:
    inputs = inputs_of("LSTM", 1, "B", "h", "c")
    check_node(backend, "LSTM", inputs, outputs=[True] * 3, hidden_size=HIDDEN, clip=0.5)
    check_node(backend, "LSTM", inputs, outputs=[True] * 3, hidden_size=HIDDEN, input_forget=1)
    check_node(backend, "RNN", inputs_of("RNN", 1, "B"), outputs=[True] * 2, hidden_size=HIDDEN, clip=0.5)


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [
        ("Relu", {}),
        ("Sigmoid", {}),
        ("Affine", {"activation_alpha": [0.5], "activation_beta": [0.1]}),
        ("LeakyRelu", {"activation_alpha": [0.2]}),
        ("LeakyRelu", {}),
        ("ThresholdedRelu", {"activation_alpha": [0.3]}),
        ("ThresholdedRelu", {}),
        ("ScaledTanh", {}),
        ("Affine", {}),
        ("ScaledTanh", {"activation_alpha": [0.7], "activation_beta": [0.4]}),
        ("HardSigmoid", {"activation_alpha": [0.3], "activation_beta": [0.4]}),
        ("HardSigmoid", {}),
        ("Elu", {"activation_alpha": [0.5]}),
        ("Softsign", {}),
        ("Softplus", {}),
    ],
)
def test_the_activations_of_recurrent_networks_take_their_parameters(
    backend: Backend, activation: str, parameters: dict[str, list[float]]
) -> None:
    options = {"hidden_size": HIDDEN, **parameters}
    check_node(backend, "RNN", inputs_of("RNN", 1, "B"), activations=[activation], **options)
    check_node(backend, "GRU", inputs_of("GRU", 1, "B"), activations=["Sigmoid", activation], **options)


def test_each_direction_has_its_activations(backend: Backend) -> None:
    names = ["Sigmoid", "Tanh", "Tanh", "Sigmoid", "Relu", "Tanh"]
    inputs = inputs_of("LSTM", 2, "B", "h", "c")
    options = {"hidden_size": HIDDEN, "direction": "bidirectional", "activations": names}
    check_node(backend, "LSTM", inputs, outputs=[True] * 3, **options)
    assert operators("LSTM", inputs, direction="bidirectional", activations=names).count("lstm") == 2


@pytest.mark.parametrize("op_type", GATES)
def test_the_batch_may_come_first(backend: Backend, op_type: str) -> None:
    inputs = inputs_of(op_type, 1, "B", "h", "c")
    turned = [np.ascontiguousarray(i.swapaxes(0, 1)) if isinstance(i, np.ndarray) else i for i in inputs]
    results = check_node(
        backend, op_type, turned, outputs=outputs_of(op_type), hidden_size=HIDDEN, layout=1, expected=_turned(op_type)
    )
    assert results[0].shape == (BATCH, STEPS, 1, HIDDEN)


def _turned(op_type: str) -> Any:
    """onnxruntime has no layout 1 and the reference evaluator gets it wrong: layout 0 on the same values."""

    def expected(_model: Any, _feeds: Any) -> list[Array]:
        inputs = inputs_of(op_type, 1, "B", "h", "c")
        model, feeds = node_model(op_type, inputs, outputs=outputs_of(op_type), hidden_size=HIDDEN)
        y, *states = by_onnxruntime(model, feeds)
        return [y.transpose(2, 0, 1, 3), *(state.swapaxes(0, 1) for state in states)]

    return expected


def test_too_many_steps_to_spell_out_are_reported(backend: Backend) -> None:
    x, weight, recurrent = random(0, 600, 1, 2), Fixed(random(1, 1, 2, 2)), Fixed(random(2, 1, 2, 2))
    model, feeds = node_model("RNN", [x, weight, recurrent], hidden_size=2, clip=0.5)
    with pytest.raises(NotSupportedError, match="600 steps are too many"):
        computed(model, feeds, backend)
    if "recurrent_network" in backend.composites:
        found = computed(model, feeds, backend, backend.composites)
        np.testing.assert_array_equal(found[0], by_onnxruntime(model, feeds)[0])


@pytest.mark.parametrize(
    ("op_type", "given", "options"),
    [
        ("LSTM", "BhcP", {}),
        ("LSTM", "B", {"input_forget": 1}),
        ("GRU", "Bh", {"clip": 0.5, "linear_before_reset": 1}),
        ("RNN", "B", {"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.25]}),
    ],
)
def test_options_that_webnn_lacks_are_left_to_onnxruntime(op_type: str, given: str, options: dict[str, Any]) -> None:
    """A music tracker's LSTM with peepholes, in operators of single steps, took 28 to 40 times as long."""
    inputs, options = inputs_of(op_type, 1, *given), {"hidden_size": HIDDEN, **options}
    if op_type == "GRU":  # lengths have the kernel to themselves, too
        inputs[4] = np.array([STEPS, 1], np.int32)
    model, feeds = node_model(op_type, inputs, outputs=outputs_of(op_type), **options)
    builder = direct_builder(composites=OnnxRuntimeBackend().composites)
    graph = builder.build(import_onnx(model, builder))
    assert [node.op for node in graph.nodes] == ["recurrent_network"]
    assert op_type in [node.op_type for node in lower(graph).finish().graph.node]
    found = run_graph(graph, feeds, OnnxRuntimeBackend())
    for info, wanted in zip(model.graph.output, by_onnxruntime(model, feeds), strict=True):
        np.testing.assert_array_equal(found[info.name], wanted)
