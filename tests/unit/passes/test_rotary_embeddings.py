"""Rotary embedding, in the ways in which it is written out, as one operator of onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import webnn
from tests.direct import direct_builder, run_graph
from webnn import MLGraphBuilder, MLOperand
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.rotary_embeddings import rotary_embeddings
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph

Builder = MLGraphBuilder[Graph]
Form = Callable[[Builder, MLOperand, MLOperand, MLOperand], MLOperand]
"""The rotation of an operand by angles, of which there is one for each pair of features."""

LENGTH, HEADS, SIZE = 5, 3, 8
MOVED = ("reshape", "transpose")


def halves(b: Builder, x: MLOperand) -> list[MLOperand]:
    return b.split(x, 2, axis=x.rank - 1)


def by_rotated_halves(b: Builder, x: MLOperand, cos: MLOperand, sin: MLOperand) -> MLOperand:
    """As in Llama: x * cos + rotate_half(x) * sin."""
    first, second = halves(b, x)
    rotated = b.concat([b.neg(second), first], x.rank - 1)
    twice = [b.concat([angle, angle], angle.rank - 1) for angle in (cos, sin)]
    return b.add(b.mul(x, twice[0]), b.mul(rotated, twice[1]))


def by_sliced_halves(b: Builder, x: MLOperand, cos: MLOperand, sin: MLOperand) -> MLOperand:
    """The same by slices and a factor of -1, with the operands the other way round."""
    half, zeros = x.shape[-1] // 2, [0] * x.rank
    first, second = (b.slice(x, [*zeros[:-1], start], [*x.shape[:-1], half]) for start in (0, half))
    rotated = b.concat([b.mul(b.constant("float32", -1), second), first], x.rank - 1)
    cos, sin = (b.concat([angle, angle], angle.rank - 1) for angle in (cos, sin))
    return b.add(b.mul(sin, rotated), b.mul(cos, x))


def by_products_of_halves(b: Builder, x: MLOperand, cos: MLOperand, sin: MLOperand) -> MLOperand:
    first, second = halves(b, x)
    real = b.sub(b.mul(first, cos), b.mul(sin, second))
    return b.concat([real, b.add(b.mul(second, cos), b.mul(first, sin))], x.rank - 1)


def pairs_of(b: Builder, x: MLOperand) -> list[MLOperand]:
    pairs = [*x.shape[:-1], x.shape[-1] // 2]
    return [b.reshape(part, pairs) for part in b.split(b.reshape(x, [*pairs, 2]), 2, axis=x.rank)]


def put_together(b: Builder, first: MLOperand, second: MLOperand) -> MLOperand:
    both = b.concat([b.reshape(part, [*part.shape, 1]) for part in (first, second)], first.rank)
    return b.reshape(both, [*first.shape[:-1], 2 * first.shape[-1]])


def by_complex_numbers(b: Builder, x: MLOperand, cos: MLOperand, sin: MLOperand) -> MLOperand:
    first, second = pairs_of(b, x)
    imaginary = b.add(b.mul(first, sin), b.mul(second, cos))
    return put_together(b, b.add(b.mul(first, cos), b.neg(b.mul(second, sin))), imaginary)


def by_gathered_neighbours(b: Builder, x: MLOperand, cos: MLOperand, sin: MLOperand) -> MLOperand:
    wide = b.reshape(x, [*x.shape[:-1], x.shape[-1] // 2, 2])
    first, second = (b.gather(wide, b.constant("int64", i), axis=x.rank) for i in (0, 1))
    return put_together(b, b.sub(b.mul(first, cos), b.mul(second, sin)), b.add(b.mul(first, sin), b.mul(second, cos)))


def by_rotated_neighbours(b: Builder, x: MLOperand, cos: MLOperand, sin: MLOperand) -> MLOperand:
    """As in GPT-J: every other feature by strides, and each angle repeated."""
    first, second = (
        b.slice(x, [0] * (x.rank - 1) + [start], [*x.shape[:-1], x.shape[-1] - start], strides=[1] * (x.rank - 1) + [2])
        for start in (0, 1)
    )
    rotated = put_together(b, b.neg(second), first)
    wide = [
        b.reshape(b.expand(b.reshape(a, [*a.shape, 1]), [*a.shape, 2]), [*a.shape[:-1], 2 * a.shape[-1]])
        for a in (cos, sin)
    ]
    return b.add(b.mul(x, wide[0]), b.mul(rotated, wide[1]))


PAIRED_HALVES = [by_rotated_halves, by_sliced_halves, by_products_of_halves]
PAIRED_NEIGHBOURS = [by_complex_numbers, by_gathered_neighbours, by_rotated_neighbours]
LAYOUTS: dict[str, tuple[list[int], list[int]]] = {
    "heads first": ([2, HEADS, LENGTH, SIZE], [LENGTH, SIZE // 2]),
    "heads last": ([2, LENGTH, HEADS, SIZE], [1, LENGTH, 1, SIZE // 2]),
    "positions of each sequence": ([2, HEADS, LENGTH, SIZE], [2, 1, LENGTH, SIZE // 2]),
    "positions of each sequence, heads last": ([2, LENGTH, HEADS, SIZE], [2, LENGTH, 1, SIZE // 2]),
    "one sequence": ([HEADS, LENGTH, SIZE], [1, LENGTH, SIZE // 2]),
    "one token": ([1, HEADS, 1, SIZE], [1, 1, 1, SIZE // 2]),
    "a matrix": ([LENGTH, SIZE], [LENGTH, SIZE // 2]),
    "five dimensions": ([2, LENGTH, 2, HEADS, SIZE], [1, LENGTH, 1, 1, SIZE // 2]),
}


def graph_of(form: Form, shape: list[int], angles: list[int], *, known: bool = False) -> Graph:
    b = direct_builder()
    x = b.input("x", shape, "float32")
    if known:
        numbers = np.random.default_rng(1).standard_normal(angles, np.float32)
        cos, sin = b.constant(np.cos(numbers)), b.constant(np.sin(numbers))
    else:
        phase = b.input("phase", angles, "float32")
        cos, sin = b.cos(phase), b.sin(phase)
    return b.build({"y": form(b, x, cos, sin)})


def feeds_of(graph: Graph) -> dict[str, Any]:
    r = np.random.default_rng(0)
    return {name: r.standard_normal(each.shape).astype(each.dtype) for name, each in graph.input_descriptors.items()}


def check(graph: Graph) -> list[str]:
    """The operators that are left, but for those that only move, once the results were compared in ULPs."""
    prepared, feeds = rotary_embeddings(graph), feeds_of(graph)
    results = [
        run_graph(graph, feeds, ArraysBackend())["y"],
        run_graph(expanded(prepared), feeds, ArraysBackend())["y"],
        run_graph(prepared, feeds, OnnxRuntimeBackend())["y"],
    ]
    # Each result is a sum of two products, whose roundings are relative to the larger one.
    ulp = np.spacing(np.abs(feeds["x"]).max())
    for result in results[1:]:
        assert (np.abs(result - results[0]) <= 2 * ulp).all()
    return [node.op for node in prepared.nodes if node.op not in MOVED]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", [*PAIRED_HALVES, *PAIRED_NEIGHBOURS], ids=lambda form: form.__name__)
def test_each_form_becomes_one_operator_with_the_same_result(form: Form, layout: str) -> None:
    assert sorted(check(graph_of(form, *LAYOUTS[layout]))) == ["cos", "rotary_embedding", "sin"]


@pytest.mark.parametrize("form", [*PAIRED_HALVES, *PAIRED_NEIGHBOURS], ids=lambda form: form.__name__)
def test_angles_may_be_known(form: Form) -> None:
    shape, angles = LAYOUTS["heads first"]
    ops = check(graph_of(form, shape, angles, known=True))
    assert ops.count("rotary_embedding") == 1
    assert set(ops) <= {"rotary_embedding", "concat", "expand", "slice"}


def test_angles_are_looked_up_in_a_table_of_twice_each_number() -> None:
    b = direct_builder()
    x, at = b.input("x", [1, HEADS, LENGTH, SIZE], "float32"), b.input("at", [1, LENGTH], "int64")
    half = np.random.default_rng(1).standard_normal((9, SIZE // 2), np.float32)
    tables = [b.constant(np.concatenate([f(half), f(half)], 1)) for f in (np.cos, np.sin)]
    cos, sin = (b.reshape(b.gather(table, at), [1, 1, LENGTH, SIZE]) for table in tables)
    first, second = halves(b, x)
    y = b.add(b.mul(x, cos), b.mul(b.concat([b.neg(second), first], 3), sin))
    ops = check(b.build({"y": y}))
    assert sorted(ops) == ["gather", "gather", "rotary_embedding", "slice", "slice"]


def test_queries_and_keys_share_what_is_made_of_the_angles() -> None:
    b = direct_builder()
    phase = b.input("phase", [LENGTH, SIZE // 2], "float32")
    both = b.concat([phase, phase], 1)
    cos, sin = b.cos(both), b.sin(both)
    y = {}
    for name in ("query", "key"):
        x = b.input(name, [1, HEADS, LENGTH, SIZE], "float32")
        first, second = halves(b, x)
        y[name] = b.add(b.mul(x, cos), b.mul(b.concat([b.neg(second), first], 3), sin))
    ops = [node.op for node in rotary_embeddings(b.build(y)).nodes]
    assert (ops.count("rotary_embedding"), ops.count("slice"), ops.count("add")) == (2, 2, 0)


def test_it_moves_ahead_of_the_transposition_that_splits_heads() -> None:
    b = direct_builder()
    rows, phase = b.input("x", [2, LENGTH, HEADS * SIZE], "float32"), b.input("phase", [LENGTH, SIZE // 2], "float32")
    x = b.transpose(b.reshape(rows, [2, LENGTH, HEADS, SIZE]), permutation=[0, 2, 1, 3])
    graph = b.build({"y": by_rotated_halves(b, x, b.cos(phase), b.sin(phase))})
    (node,) = [node for node in rotary_embeddings(graph).nodes if node.op == "rotary_embedding"]
    assert node["input"].shape == (2, LENGTH, HEADS * SIZE)
    assert sorted(check(graph)) == ["cos", "rotary_embedding", "sin"]


def with_another_sign(b: Builder, x: MLOperand, cos: MLOperand, sin: MLOperand) -> MLOperand:
    first, second = halves(b, x)
    return b.concat([b.add(b.mul(first, cos), b.mul(second, sin)), b.sub(b.mul(second, cos), b.mul(first, sin))], 3)


def with_other_angles_behind(b: Builder, x: MLOperand, cos: MLOperand, sin: MLOperand) -> MLOperand:
    first, second = halves(b, x)
    rotated = b.concat([b.neg(second), first], 3)
    return b.add(b.mul(x, b.concat([cos, sin], 1)), b.mul(rotated, b.concat([sin, sin], 1)))


def with_halves_the_other_way_round(b: Builder, x: MLOperand, cos: MLOperand, sin: MLOperand) -> MLOperand:
    second, first = halves(b, x)
    return b.concat([b.sub(b.mul(first, cos), b.mul(second, sin)), b.add(b.mul(second, cos), b.mul(first, sin))], 3)


def with_neighbours_put_into_halves(b: Builder, x: MLOperand, cos: MLOperand, sin: MLOperand) -> MLOperand:
    first, second = pairs_of(b, x)
    return b.concat([b.sub(b.mul(first, cos), b.mul(second, sin)), b.add(b.mul(second, cos), b.mul(first, sin))], 3)


def of_two_operands(b: Builder, x: MLOperand, cos: MLOperand, sin: MLOperand) -> MLOperand:
    first, _ = halves(b, x)
    _, second = halves(b, b.relu(x))
    return b.concat([b.sub(b.mul(first, cos), b.mul(second, sin)), b.add(b.mul(second, cos), b.mul(first, sin))], 3)


@pytest.mark.parametrize(
    "form",
    [
        with_another_sign,
        with_other_angles_behind,
        with_halves_the_other_way_round,
        with_neighbours_put_into_halves,
        of_two_operands,
    ],
    ids=lambda form: form.__name__,
)
def test_what_only_looks_alike_is_left_as_it_is(form: Form) -> None:
    graph = graph_of(form, [1, HEADS, LENGTH, SIZE], [LENGTH, SIZE // 2])
    assert rotary_embeddings(graph) is graph


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_the_operator_in_a_file_is_found_again(domain: str, interleaved: int) -> None:
    r = np.random.default_rng(2)
    tables = ["cos", "sin"]
    inputs = ["x", "at", *tables] if domain else ["x", *tables, "at"]
    node = helper.make_node("RotaryEmbedding", inputs, ["y"], domain=domain, interleaved=interleaved)
    shape = [1, HEADS, LENGTH, SIZE]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    at = helper.make_tensor_value_info("at", TensorProto.INT64, [1, LENGTH])
    weights = [onnx.numpy_helper.from_array(r.standard_normal((9, SIZE // 2), np.float32), name) for name in tables]
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(
        helper.make_graph([node], "g", [x, at], [y], weights), opset_imports=opsets, ir_version=10
    )
    with webnn.ML().create_context(backend="onnxruntime") as context:
        (rewrite,) = webnn.load_onnx(model, context).explain().rewrites
    assert (rewrite.name, rewrite.added["rotary_embedding"]) == ("rotary embeddings", 1)
