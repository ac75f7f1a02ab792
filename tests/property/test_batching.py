"""A graph that is said to be separable gives for stacked requests what it gives for each of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.direct import direct_builder, every_composite, run_graph
from tests.property.calls import VALID, valid_call
from tests.property.draft import Array, Draft, returnable
from tests.property.test_operators import EXAMPLES, LOCAL
from tests.property.tolerances import EXACT, TOLERANCES, Tolerance, difference
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.onnx.lowerings import FUNCTIONS
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.graph import batching
from webnn.graph.batching import NEVER, RULES, stacked, why_not_separable
from webnn.graph.composites.bitwise import bits_shifted
from webnn.graph.composites.block_product import product_by_blocks
from webnn.graph.composites.columns import images_of_columns
from webnn.graph.composites.determinant import determinants
from webnn.graph.composites.functions import applied
from webnn.graph.composites.grid_sample import sampled_at
from webnn.graph.composites.reverse_sequence import sequences_reversed
from webnn.graph.composites.tree_ensemble import LESS, summed_leaves
from webnn.graph.ir import Graph
from webnn.graph.operator import OPERATORS

ONNXRUNTIME, ARRAYS = OnnxRuntimeBackend(), ArraysBackend()

Feeds = dict[str, Array]


def other_request(feeds: Feeds, rng: np.random.Generator) -> Feeds:
    """The same numbers in other places: valid wherever `feeds` are."""
    return {name: rng.permutation(array.reshape(-1)).reshape(array.shape) for name, array in feeds.items()}


def difference_of_stacked(graph: Graph, feeds: Feeds, backend: Backend, tolerance: Tolerance, seed: int) -> str | None:
    """Where the results of stacked requests differ from the stacked results; None if they do not."""
    rng = np.random.default_rng(seed)
    requests = [feeds, *(other_request(feeds, rng) for _ in range(1 + seed % 3))]
    together = {name: np.concatenate([request[name] for request in requests]) for name in graph.inputs}
    actual = run_graph(stacked(graph, len(requests)), together, backend)
    expected = [run_graph(graph, request, backend) for request in requests]
    for name in graph.outputs:
        found = difference(actual[name], np.concatenate([result[name] for result in expected]), tolerance)
        if found is not None:
            return f"{name}: {found}"
    return None


@pytest.mark.parametrize("op", sorted(RULES.keys() - every_composite()))
@settings(max_examples=2 * EXAMPLES)
@given(data=st.data())
def test_a_separable_operator_computes_each_request_by_itself(op: str, data: st.DataObject) -> None:
    draft = Draft(data, ONNXRUNTIME)
    call = valid_call(draft, op)
    outputs = {f"output {i}": returnable(draft, output) for i, output in enumerate(call.on(draft.builder))}
    graph = draft.builder.build(outputs)
    if why_not_separable(graph) is None:
        backend = draft.pick([ONNXRUNTIME, ARRAYS])
        found = difference_of_stacked(graph, draft.feeds, backend, TOLERANCES.get(op, EXACT), draft.integer(0, 99))
        assert found is None, f"{call!r} on {backend.name}: {found}"


@settings(max_examples=20 * EXAMPLES)
@given(data=st.data())
def test_a_separable_graph_of_many_operators_computes_each_request_by_itself(data: st.DataObject) -> None:
    draft = Draft(data, ONNXRUNTIME)
    calls: list[Any] = []
    for _ in range(draft.integer(2, 5)):
        calls.append(valid_call(draft, draft.pick(LOCAL)))
        draft.pool += calls[-1].on(draft.builder)
    graph = draft.builder.build({"output": draft.pool[-1]})
    if why_not_separable(graph) is None:
        found = difference_of_stacked(graph, draft.feeds, ARRAYS, EXACT, draft.integer(0, 99))
        assert found is None, f"{calls!r}: {found}"


@pytest.mark.parametrize("backend", [ONNXRUNTIME, ARRAYS], ids=["onnxruntime", "arrays"])
def test_an_ensemble_of_trees_computes_each_request_by_itself(backend: Backend) -> None:
    """Two trees of one comparison each: nodes 0 and 3 are the roots, the others leaves."""
    tables: Feeds = {
        "features": np.array([0, 0, 0, 1, 0, 0]),
        "splits": np.array([0.5, 0, 0, -0.5, 0, 0]),
        "modes": np.full(6, LESS),
        "missing": np.zeros(6),
        "if_true": np.array([1, 1, 2, 4, 4, 5]),
        "if_false": np.array([2, 1, 2, 5, 4, 5]),
        "roots": np.array([0, 3]),
        "trees": np.array([0, 0, 0, 1, 1, 1]),
        "voters": np.array([1, 2, 4, 5]),
        "targets": np.zeros(4),
        "weights": np.array([1, 2, 10, 20]),
    }
    builder = direct_builder(backend, backend.composites)
    given = builder.input("x", [4, 2], "float32")
    graph = builder.build({"sum": summed_leaves(builder, given, tables, depth=1, columns=1)})
    assert why_not_separable(graph) is None
    x = np.array([[0, 0], [1, 0], [0, -1], [1, -1]], np.float32)
    assert run_graph(graph, {"x": x}, backend)["sum"].ravel().tolist() == [21, 22, 11, 12]
    assert difference_of_stacked(graph, {"x": x}, backend, EXACT, 2) is None


@pytest.mark.parametrize("backend", [ONNXRUNTIME, ARRAYS], ids=["onnxruntime", "arrays"])
def test_a_product_that_rounds_computes_each_request_by_itself(backend: Backend) -> None:
    generator = np.random.default_rng(0)
    builder = direct_builder(backend, backend.composites)
    constants = [
        builder.constant(each)
        for each in (
            generator.integers(0, 255, (32, 4), np.uint8),
            generator.uniform(0, 1, (2, 4)).astype(np.float32),
            np.full((2, 4), 128, np.uint8),
        )
    ]
    x = builder.input("x", [3, 32], "float32")
    graph = builder.build({"y": product_by_blocks(builder, x, *constants, bits=8, rounded=True)})
    assert why_not_separable(graph) is None
    rows = {"x": generator.standard_normal((3, 32)).astype(np.float32)}
    assert difference_of_stacked(graph, rows, backend, EXACT, 2) is None


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_computes_each_request_by_itself(name: str) -> None:
    options = {"celu": {"alpha": 2.0}, "selu": {"alpha": 1.5, "gamma": 1.25}, "thresholded_relu": {"alpha": 0.5}}
    for axis in (0, 1):
        along = {"axis": axis} if name in ("hardmax", "log_softmax") else options.get(name, {})
        builder = direct_builder(ONNXRUNTIME, ONNXRUNTIME.composites)
        graph = builder.build({"y": applied(builder, name, builder.input("x", [3, 4], "float32"), **along)})
        if along == {"axis": 0}:
            assert "works along dimension 0" in (why_not_separable(graph) or "")
            continue
        x = np.linspace(1, 2, 12) if name == "acosh" else np.linspace(-0.9, 0.9, 12)
        feeds = {"x": x.astype(np.float32).reshape(3, 4)}
        assert difference_of_stacked(graph, feeds, ONNXRUNTIME, EXACT, 2) is None


@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (lambda b, x, y: bits_shifted(b, x, y, left=True), [("uint8", [2, 3]), ("uint8", [2, 1])]),
        (determinants, [("float32", [2, 3, 3])]),
        (
            lambda b, x: images_of_columns(b, x, [4], [2], strides=[1], dilations=[1], pads=[0, 0]),
            [("float32", [2, 4, 3])],
        ),
        (
            lambda b, x, y: sampled_at(b, x, y, mode="linear", padding="zeros", aligned=True),
            [("float32", [2, 3, 4, 5]), ("float32", [2, 2, 2, 2])],
        ),
        (lambda b, x, y: sequences_reversed(b, x, y, time=1, batch=0), [("float32", [3, 4, 2]), ("int64", [3])]),
    ],
)
def test_a_composite_of_an_import_computes_each_request_by_itself(make: Any, shapes: Any) -> None:
    rng = np.random.default_rng(0)
    feeds = {f"x{i}": rng.uniform(0, 2.9, shape).astype(data_type) for i, (data_type, shape) in enumerate(shapes)}
    builder = direct_builder(ONNXRUNTIME, ONNXRUNTIME.composites)
    operands = [builder.input(name, array.shape, array.dtype.name) for name, array in feeds.items()]
    graph = builder.build({"y": make(builder, *operands)})
    assert {node.op for node in graph.nodes} <= set(every_composite())
    assert why_not_separable(graph) is None
    assert difference_of_stacked(graph, feeds, ONNXRUNTIME, EXACT, 2) is None


@pytest.mark.parametrize(
    ("make", "shapes", "reason"),
    [
        (determinants, [("float32", [3, 3])], "of one matrix"),
        (
            lambda b, x, y: sequences_reversed(b, x, y, time=0, batch=1),
            [("float32", [3, 4, 2]), ("int64", [4])],
            "along dimension 0",
        ),
    ],
)
def test_a_composite_of_an_import_that_mixes_requests_is_not_separable(make: Any, shapes: Any, reason: str) -> None:
    builder = direct_builder(ONNXRUNTIME, ONNXRUNTIME.composites)
    operands = [builder.input(f"x{i}", shape, data_type) for i, (data_type, shape) in enumerate(shapes)]
    assert reason in (why_not_separable(builder.build({"y": make(builder, *operands)})) or "")


SOFTMAX: Final = {"x": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)}


def test_the_comparison_finds_an_operator_that_mixes_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = direct_builder()
    graph = builder.build({"output": builder.softmax(builder.input("x", [2, 3], "float32"), 0)})
    assert why_not_separable(graph) is not None
    monkeypatch.setitem(batching.RULES, "softmax", lambda reading: None)
    found = difference_of_stacked(graph, SOFTMAX, ARRAYS, TOLERANCES["softmax"], 1)
    assert found is not None
    assert "differ" in found


def test_every_operator_has_a_rule_or_a_reason() -> None:
    assert (RULES.keys() | NEVER.keys()).difference(every_composite()) == OPERATORS.keys() == VALID.keys()
    assert not RULES.keys() & NEVER.keys()
