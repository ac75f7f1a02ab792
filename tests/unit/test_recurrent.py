"""Recurrent networks: every option against the specification's formulas, and the error messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnx.model import Model
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.errors import ValidationError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Array = np.ndarray[Any, Any]

STEPS, BATCH, FEATURES, HIDDEN = 4, 3, 2, 5
FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.where(x > 0, x, 0),
    "sigmoid": lambda x: np.tanh(x / 2) / 2 + 0.5,
    "tanh": np.tanh,
}
GRU_OPERANDS = ("bias", "recurrent_bias", "initial_hidden_state")
LSTM_OPERANDS = ("bias", "recurrent_bias", "peephole_weight", "initial_hidden_state", "initial_cell_state")


def operands(op: str, directions: int = 1, data_type: str = "float32") -> dict[str, Array]:
    """Every operand of a network, given or not, with random values."""
    gates = 3 if op.startswith("gru") else 4
    shapes: dict[str, tuple[int, ...]] = {
        "input": (STEPS, BATCH, FEATURES),
        "weight": (directions, gates * HIDDEN, FEATURES),
        "recurrent_weight": (directions, gates * HIDDEN, HIDDEN),
        "bias": (directions, gates * HIDDEN),
        "recurrent_bias": (directions, gates * HIDDEN),
        "peephole_weight": (directions, 3 * HIDDEN),
        "initial_hidden_state": (directions, BATCH, HIDDEN),
        "initial_cell_state": (directions, BATCH, HIDDEN),
    }
    random = np.random.default_rng(3)
    return {name: random.uniform(-0.6, 0.6, shape).astype(data_type) for name, shape in shapes.items()}


def expected_states(op: str, given: Mapping[str, Array], options: Mapping[str, Any], backward: bool) -> list[Array]:
    """Hidden (and cell) states after each step in one direction, `[steps, batch, hidden]`, in float64."""
    layout = options.get("layout", "zrn" if op == "gru" else "iofg")
    wide = {name: array.astype(np.float64) for name, array in given.items()}
    h, c = (wide.get(f"initial_{name}_state", np.zeros((BATCH, HIDDEN))) for name in ("hidden", "cell"))

    def of_input(k: str, x: Array) -> Any:
        rows = slice(layout.index(k) * HIDDEN, (layout.index(k) + 1) * HIDDEN)
        return np.einsum("bi,hi->bh", x, wide["weight"][rows]) + (wide["bias"][rows] if "bias" in wide else 0)

    def of_state(k: str, state: Array) -> Any:
        rows = slice(layout.index(k) * HIDDEN, (layout.index(k) + 1) * HIDDEN)
        bias = wide["recurrent_bias"][rows] if "recurrent_bias" in wide else 0
        return np.einsum("bj,hj->bh", state, wide["recurrent_weight"][rows]) + bias

    names = options.get("activations", ("sigmoid", "tanh", "tanh"))
    first, second, *third = (FUNCTIONS[name] for name in names)
    hidden, cells = [], []
    for x in wide["input"][::-1] if backward else wide["input"]:
        if op == "gru":
            z, r = (first(of_input(k, x) + of_state(k, h)) for k in "zr")
            state = r * of_state("n", h) if options.get("reset_after", True) else of_state("n", r * h)
            h = z * h + (1 - z) * second(of_input("n", x) + state)
        else:
            peephole = zip("iof", wide.get("peephole_weight", np.zeros(3 * HIDDEN)).reshape(3, HIDDEN), strict=True)
            i, o, f = (first(of_input(k, x) + of_state(k, h) + p * c) for k, p in peephole)
            c = f * c + i * second(of_input("g", x) + of_state("g", h))
            h = o * third[0](c)
        hidden.append(h)
        cells.append(c)
    states = [np.stack(hidden), np.stack(cells)][: 1 if op == "gru" else 2]
    return [state[::-1] for state in states] if backward else states


def expected(op: str, given: Mapping[str, Array], options: Mapping[str, Any]) -> list[Array]:
    """The outputs of `gru` or `lstm`."""
    direction = options.get("direction", "forward")
    ways = {"forward": [False], "backward": [True], "both": [False, True]}[direction]
    lasts, sequences = [], []
    for d, backward in enumerate(ways):
        parts = {name: array if name == "input" else array[d] for name, array in given.items()}
        states = expected_states(op, parts, options, backward)
        lasts.append([state[0 if backward else -1] for state in states])
        sequences.append(states[0])
    outputs = [np.stack(states) for states in zip(*lasts, strict=True)]
    return [*outputs, np.stack(sequences, axis=1)] if options.get("return_sequence") else outputs


def built(
    builder: MLGraphBuilder[Graph], op: str, given: Mapping[str, Array], options: Mapping[str, Any], constant: bool
) -> Graph:
    """A graph of `op` on the operands in `given`, but for `input` as constants if asked for."""
    values: dict[str, MLOperand] = {}
    for name, array in given.items():
        if constant and name != "input":
            values[name] = builder.constant(array)
        else:
            values[name] = builder.input(name, array.shape, array.dtype.name)
    sizes = {} if op.endswith("cell") else {"steps": len(given["input"])}
    results = getattr(builder, op)(**values, **sizes, hidden_size=HIDDEN, **options)
    results = results if isinstance(results, list) else [results]
    return builder.build({f"output{i}": result for i, result in enumerate(results)})


def run(
    backend: Backend, op: str, given: Mapping[str, Array], options: Mapping[str, Any], constant: bool = True
) -> list[Array]:
    graph = built(direct_builder(backend), op, given, options, constant)
    return list(run_graph(graph, {name: given[name] for name in graph.inputs}, backend).values())


def as_cell(given: Mapping[str, Array]) -> dict[str, Array]:
    """The operands of a cell for the first step of a sequence."""
    return {name.removeprefix("initial_"): array[0] for name, array in given.items()}


CASES: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("gru", (), {}),
    ("gru", GRU_OPERANDS, {"return_sequence": True}),
    ("gru", GRU_OPERANDS, {"reset_after": False, "direction": "backward", "return_sequence": True}),
    ("gru", ("bias",), {"layout": "rzn", "direction": "both", "return_sequence": True}),
    ("gru", ("recurrent_bias",), {"layout": "rzn", "reset_after": False, "direction": "both"}),
    ("gru", GRU_OPERANDS, {"activations": ("relu", "sigmoid")}),
    ("gru", (), {"activations": ("tanh", "relu"), "direction": "both"}),
    ("lstm", (), {}),
    ("lstm", LSTM_OPERANDS, {"return_sequence": True}),
    ("lstm", LSTM_OPERANDS, {"direction": "backward", "layout": "ifgo", "return_sequence": True}),
    ("lstm", LSTM_OPERANDS, {"direction": "both", "layout": "ifgo"}),
    ("lstm", LSTM_OPERANDS, {"direction": "both", "return_sequence": True, "activations": ("tanh", "relu", "sigmoid")}),
    ("lstm", ("peephole_weight",), {"direction": "backward"}),
    ("lstm", ("bias", "initial_cell_state"), {"direction": "both", "layout": "ifgo", "return_sequence": True}),
    ("lstm", ("recurrent_bias", "initial_hidden_state"), {"direction": "backward", "layout": "ifgo"}),
    ("lstm", (), {"activations": ("relu", "tanh", "relu"), "return_sequence": True}),
]


@pytest.mark.parametrize("data_type", ["float32", "float16"])
@pytest.mark.parametrize("constant", [True, False], ids=["constants", "inputs"])
@pytest.mark.parametrize(("op", "optional", "options"), CASES, ids=str)
def test_sequences_are_as_specified(
    backend: Backend, op: str, optional: tuple[str, ...], options: dict[str, Any], *, constant: bool, data_type: str
) -> None:
    every = operands(op, 2 if options.get("direction") == "both" else 1, data_type)
    given = {name: every[name] for name in ("input", "weight", "recurrent_weight", *optional)}
    tolerance = 2e-6 if data_type == "float32" else 1e-3
    for output, states in zip(run(backend, op, given, options, constant), expected(op, given, options), strict=True):
        assert output.dtype == data_type
        np.testing.assert_allclose(output, states, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("data_type", ["float32", "float16"])
@pytest.mark.parametrize("constant", [True, False], ids=["constants", "inputs"])
@pytest.mark.parametrize(("op", "optional", "options"), [case for case in CASES if "direction" not in case[2]], ids=str)
def test_a_cell_is_a_sequence_of_one_step(
    backend: Backend, op: str, optional: tuple[str, ...], options: dict[str, Any], *, constant: bool, data_type: str
) -> None:
    every = operands(op, 1, data_type)
    every["input"] = every["input"][:1]
    states = ("initial_hidden_state", "initial_cell_state")[: 1 if op == "gru" else 2]
    given = {name: every[name] for name in dict.fromkeys(("input", "weight", "recurrent_weight", *optional, *states))}
    options = {name: value for name, value in options.items() if name != "return_sequence"}
    tolerance = 1e-6 if data_type == "float32" else 1e-3
    outputs = run(backend, f"{op}_cell", as_cell(given), options, constant)
    for output, state in zip(outputs, expected(op, given, options), strict=True):
        np.testing.assert_allclose(output, state[0], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("constant", [True, False], ids=["constants", "inputs"])
def test_all_peepholes_see_the_cell_state_before_the_step(backend: Backend, constant: bool) -> None:
    builder = direct_builder(backend)

    def operand(name: str, values: list[Any]) -> MLOperand:
        array = np.array(values, np.float32)
        feeds[name] = array
        return builder.constant(array) if constant else builder.input(name, array.shape, "float32")

    feeds: dict[str, Array] = {}
    x = builder.input("x", [1, 1], "float32")
    feeds["x"] = np.zeros((1, 1), np.float32)
    h, c = builder.lstm_cell(
        x,
        operand("weight", [[0.0]] * 4),
        operand("recurrent_weight", [[0.0]] * 4),
        operand("h", [[0.0]]),
        operand("c", [[1.0]]),
        1,
        bias=operand("bias", [0.0, 0.0, 0.0, 7.0]),
        peephole_weight=operand("peephole", [2.0, 3.0, 5.0]),
        activations=["relu", "relu", "relu"],
    )
    results = run_graph(builder.build({"h": h, "c": c}), feeds, backend)
    assert results["c"].tolist() == [[5 * 1 + 2 * 7]]
    assert results["h"].tolist() == [[3 * 19]]


def test_saturated_gates_keep_the_state(backend: Backend) -> None:
    every = operands("gru")
    given = {name: every[name] for name in ("input", "weight", "recurrent_weight", "bias", "initial_hidden_state")}
    given["bias"] = np.where(np.arange(3 * HIDDEN) < HIDDEN, 200, 0)[None].astype(np.float32)
    (last,) = run(backend, "gru", given, {})
    np.testing.assert_allclose(last, given["initial_hidden_state"], atol=1e-6)


def test_sequences_may_be_longer_than_lists_of_tensors() -> None:
    steps, backend = 9000, OnnxRuntimeBackend()
    builder = direct_builder(backend)
    input = builder.input("input", [steps, 1, 1], "float32")
    weight = builder.constant(np.zeros((1, 3, 1), np.float32))
    bias = builder.constant(np.array([[-200, 0, 0.5]], np.float32))
    _, sequence = builder.gru(
        input, weight, weight, steps, 1, bias=bias, return_sequence=True, activations=["sigmoid", "relu"]
    )
    feeds = {"input": np.zeros((steps, 1, 1), np.float32)}
    output = run_graph(builder.build({"sequence": sequence}), feeds, backend)["sequence"]
    np.testing.assert_allclose(output, np.full((steps, 1, 1, 1), 0.5), rtol=1e-6)


def lowered(op: str, optional: tuple[str, ...], options: Mapping[str, Any], constant: bool = True) -> Model:
    every = operands(op.removesuffix("_cell"), 2 if options.get("direction") == "both" else 1)
    given = {name: every[name] for name in ("input", "weight", "recurrent_weight", *optional)}
    return lower(built(direct_builder(), op, given, options, constant), cpu_kernels())


@pytest.mark.parametrize(
    ("op", "optional", "options"), [case for case in CASES if "peephole_weight" not in case[1]], ids=str
)
def test_onnx_has_one_node_for_a_network_of_constants(op: str, optional: tuple[str, ...], options: Any) -> None:
    (network,) = lowered(op, optional, options).finish().graph.node
    assert network.op_type == op.upper()
    assert (network.output[0] != "") == options.get("return_sequence", False)


def test_onnx_takes_peepholes_that_leave_the_output_gate_alone() -> None:
    every = operands("lstm")
    every["peephole_weight"][:, HIDDEN : 2 * HIDDEN] = 0
    given = {name: every[name] for name in ("input", "weight", "recurrent_weight", "peephole_weight")}
    for constant, op_type in ((True, "LSTM"), (False, "Scan")):
        graph = built(direct_builder(), "lstm", given, {}, constant)
        nodes = [node.op_type for node in lower(graph, cpu_kernels()).finish().graph.node]
        assert op_type in nodes
        for backend in (ArraysBackend(), OnnxRuntimeBackend()):
            output, *_ = run(backend, "lstm", given, {}, constant)
            np.testing.assert_allclose(output, expected("lstm", given, {})[0], atol=1e-6)


def test_cells_that_share_constants_share_what_is_made_of_them() -> None:
    builder = direct_builder()
    size = 32
    x, h = (builder.input(name, [1, size], "float32") for name in ("x", "h"))
    weight, recurrent_weight = (builder.constant(np.ones((3 * size, size), np.float32)) for _ in range(2))
    for _ in range(3):
        h = builder.gru_cell(x, weight, recurrent_weight, h, size, layout="rzn")
    assert len(lower(builder.build({"h": h}), cpu_kernels()).external) == 2


@pytest.mark.parametrize(
    ("op", "changed", "options", "message"),
    [
        ("gru", {}, {"steps": 3}, r"steps must be 4, the first dimension of input \[4, 3, 2\], got 3"),
        ("lstm", {}, {"steps": 0}, r"steps must be 4, the first dimension of input \[4, 3, 2\], got 0"),
        ("gru", {}, {"steps": 4.5}, "steps must be an integer, got 4.5"),
        ("gru", {}, {"hidden_size": 0}, "hidden_size must be 1 to 357913941, got 0"),
        ("lstm", {}, {"hidden_size": 2**28}, "hidden_size must be 1 to 268435455, got 268435456"),
        ("gru_cell", {}, {"hidden_size": 2**29}, "hidden_size must be 1 to 357913941, got 536870912"),
        ("lstm_cell", {}, {"hidden_size": -1}, "hidden_size must be an integer from 0 to 4294967295, got -1"),
        ("gru", {}, {"direction": "up"}, "direction must be one of 'forward', 'backward', 'both', got 'up'"),
        ("gru", {}, {"layout": "iofg"}, "layout must be one of 'zrn', 'rzn', got 'iofg'"),
        ("lstm_cell", {}, {"layout": "zrn"}, "layout must be one of 'iofg', 'ifgo', got 'zrn'"),
        ("gru", {}, {"reset_after": 1}, "reset_after must be True or False, got 1"),
        ("lstm", {}, {"return_sequence": "yes"}, "return_sequence must be True or False, got 'yes'"),
        ("gru", {}, {"activations": ["relu"]}, r"activations must have 2 names, got \['relu'\]"),
        ("lstm", {}, {"activations": ["relu", "tanh"]}, r"activations must have 3 names, got \['relu', 'tanh'\]"),
        ("gru_cell", {}, {"activations": "relu"}, "activations must be a sequence of 2 names, got 'relu'"),
        ("lstm_cell", {}, {"activations": ["relu", "gelu", "tanh"]}, r"activations\[1\] must be one of .*, got 'gelu'"),
        (
            "gru",
            {"weight": (1, 15, 3)},
            {},
            r"weight \[1, 15, 3\] must be \[1, 15, 2\], \[directions, 3 \* hidden_size",
        ),
        ("lstm", {"recurrent_weight": (1, 20, 4)}, {}, r"recurrent_weight \[1, 20, 4\] must be \[1, 20, 5\]"),
        ("lstm", {}, {"direction": "both"}, r"weight \[1, 20, 2\] must be \[2, 20, 2\]"),
        ("gru", {"bias": (1, 14)}, {}, r"bias \[1, 14\] must be \[1, 15\], \[directions, 3 \* hidden_size\]"),
        ("gru", {"recurrent_bias": (2, 15)}, {}, r"recurrent_bias \[2, 15\] must be \[1, 15\]"),
        ("gru", {"initial_hidden_state": (1, 2, 5)}, {}, r"initial_hidden_state \[1, 2, 5\] must be \[1, 3, 5\]"),
        ("lstm", {"initial_cell_state": (1, 3, 6)}, {}, r"initial_cell_state \[1, 3, 6\] must be \[1, 3, 5\]"),
        ("lstm", {"peephole_weight": (1, 20)}, {}, r"peephole_weight \[1, 20\] must be \[1, 15\]"),
        ("gru_cell", {"hidden_state": (2, 5)}, {}, r"hidden_state \[2, 5\] must be \[3, 5\], \[batch, hidden_size\]"),
        ("lstm_cell", {"cell_state": (3, 6)}, {}, r"cell_state \[3, 6\] must be \[3, 5\]"),
        ("lstm_cell", {"peephole_weight": (20,)}, {}, r"peephole_weight \[20\] must be \[15\]"),
        ("gru_cell", {"recurrent_bias": (20,)}, {}, r"recurrent_bias \[20\] must be \[15\]"),
        ("gru", {"input": (4, 2)}, {}, r"input \[4, 2\] has rank 2, but must have rank 3"),
        ("lstm", {"bias": (20,)}, {}, r"bias \[20\] has rank 1, but must have rank 2"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    op: str, changed: dict[str, tuple[int, ...]], options: dict[str, Any], message: str
) -> None:
    builder = direct_builder()
    gates = 3 if op.startswith("gru") else 4
    shapes: dict[str, tuple[int, ...]] = {
        "input": (STEPS, BATCH, FEATURES),
        "weight": (1, gates * HIDDEN, FEATURES),
        "recurrent_weight": (1, gates * HIDDEN, HIDDEN),
    }
    arguments: dict[str, Any] = {"hidden_size": HIDDEN}
    if op.endswith("cell"):
        shapes = {name: shape[1:] for name, shape in shapes.items()} | {"hidden_state": (BATCH, HIDDEN)}
        shapes |= {"cell_state": (BATCH, HIDDEN)} if op == "lstm_cell" else {}
    else:
        arguments["steps"] = STEPS
    values = {name: builder.input(name, shape, "float32") for name, shape in (shapes | changed).items()}
    with pytest.raises(ValidationError, match=rf"\[here\] {op}: {message}"):
        getattr(builder, op)(**values, **(arguments | options), label="here")


@pytest.mark.parametrize(
    ("data_types", "message"),
    [
        (("int32", "int32"), "input is int32, but must be float32 or float16"),
        (("float32", "float16"), "weight is float16, but must have the data type of input, float32"),
    ],
)
def test_data_types_that_do_not_go_together_are_named(data_types: tuple[Any, Any], message: str) -> None:
    builder = direct_builder()
    input = builder.input("input", [BATCH, FEATURES], data_types[0])
    weight = builder.input("weight", [3 * HIDDEN, FEATURES], data_types[1])
    with pytest.raises(ValidationError, match=message):
        builder.gru_cell(input, weight, weight, weight, HIDDEN)
