"""All passes together, and who runs them."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx

import webnn
from tests.direct import direct_builder
from webnn.backends.onnx.export import save_onnx
from webnn.backends.onnxruntime.passes import pipeline
from webnn.backends.onnxruntime.passes.pipeline import PASSES, Pass, prepared, traits
from webnn.graph.composites.scatter_reduce import scattered_elements, scattered_slices
from webnn.graph.ir import Graph


def a_graph_for_every_pass() -> Graph:
    builder = direct_builder(composites=["scatter_reduce_nd"])
    x = builder.input("x", [1, 1, 3, 4], "float32")
    one = builder.constant(np.ones(1, np.float32))
    long = builder.expand(builder.slice(x, [0, 0, 0, 0], [1, 1, 1, 1]), [1, 1, 100, 100])
    rows = builder.reshape(builder.conv2d(x, builder.constant(np.ones((1, 1, 3, 1), np.float32))), [1, 1, 4])
    places = builder.input("tokens", [4, 1], "int32")
    tokens = builder.equal(places, builder.constant(np.arange(5, dtype=np.int32)))
    table = builder.constant(np.ones((5, 3), np.float32))
    quantized = builder.cast(builder.constant(np.ones((2048, 128), np.int8)), "float32")
    cube = builder.mul(builder.pow(x, builder.constant("float32", 3)), builder.constant("float32", 0.044715))
    tanh = builder.tanh(builder.mul(builder.add(x, cube), builder.constant("float32", 0.7978846)))
    half = builder.mul(x, builder.constant("float32", 0.5))
    first = builder.slice(builder.reshape(x, [4, 3]), [0, 0], [1, 3])
    query = builder.input("query", [1, 1, 512, 4], "float32")
    shares = builder.softmax(builder.matmul(query, builder.transpose(query, permutation=[0, 1, 3, 2])), 3)
    wide = builder.reshape(x, [6, 2])
    pairs = builder.input("pairs", [6, 2], "int32")
    left, right = builder.split(wide, 2, axis=1)
    cosine, sine = builder.cos(left), builder.sin(left)
    real = builder.sub(builder.mul(left, cosine), builder.mul(right, sine))
    turned = builder.concat([real, builder.add(builder.mul(left, sine), builder.mul(right, cosine))], 1)
    nibbles = [np.ones((32, 2), ml_dtypes.uint4), np.ones((2, 2), np.float32), np.ones((2, 2), ml_dtypes.uint4)]
    dense = builder.dequantize_linear(*(builder.constant(each) for each in nibbles))
    negated = builder.neg(wide)
    keys = builder.expand(builder.reshape(first, [3, 1]), [3, 12])
    scores = builder.mul(builder.matmul(first, keys), builder.constant("float32", 0.5))
    root = builder.sqrt(builder.reduce_mean(builder.mul(wide, wide), axes=[1], keep_dimensions=True))
    edges, ends = builder.input("edges", [1200, 300], "float32"), builder.input("ends", [1200, 1], "int64")
    messages = builder.matmul(edges, builder.constant(np.ones((300, 300), np.float32)))
    nodes = builder.constant(np.zeros((5, 300), np.float32))
    column = builder.transpose(builder.reshape(x, [1, 4, 3, 1]), permutation=[0, 2, 1, 3])
    return builder.build(
        {
            "rows": builder.relu(rows),
            "sigmoid": builder.sigmoid(x),
            "normalized": builder.batch_normalization(x, one, one),
            "instance": builder.instance_normalization(x),
            "elu": builder.elu(x),
            "norm": builder.reduce_l2(x),
            "size": builder.reduce_l1(x),
            "averaged": builder.average_pool2d(long, window_dimensions=[40, 40]),
            "sum": builder.reduce_sum(long),
            "tall sum": builder.reduce_sum(long, axes=[2]),
            "running": builder.cumulative_sum(builder.reshape(long, [10000]), 0),
            "embedded": builder.matmul(builder.cast(tokens, "float32"), table),
            "gelu": builder.add(half, builder.mul(half, tanh)),
            "attention": builder.matmul(shares, query),
            "key": builder.matmul(first, builder.constant(np.ones((3, 2), np.float32))),
            "value": builder.matmul(first, builder.constant(np.ones((3, 2), np.float32))),
            "gated": builder.mul(wide, builder.sigmoid(wide)),
            "scattered": scattered_elements(builder, wide, pairs, wide, axis=1, reduction="add"),
            "messages": scattered_slices(builder, nodes, ends, messages, reduction="add"),
            "rotated": turned,
            "root mean square": builder.div(wide, root),
            "rows of a table": builder.gather(quantized, builder.reshape(places, [4])),
            "product of blocks": builder.matmul(builder.expand(builder.slice(first, [0, 0], [1, 1]), [1, 32]), dense),
            "layer": builder.relu(builder.matmul(builder.reshape(x, [4, 3]), builder.reshape(x, [3, 4]))),
            "key cache": builder.scatter_elements(wide, pairs, wide, axis=1),
            "value cache": builder.scatter_elements(wide, pairs, negated, axis=1),
            "scores": scores,
            "column": builder.conv2d(column, builder.constant(np.ones((1, 3, 1, 1), np.float32))),
            "active rows": builder.relu(builder.gather(table, builder.reshape(places, [4]))),
            "hidden": builder.logical_not(builder.input("mask", [4096], "uint8")),
        }
    )


def test_every_pass_is_a_module_of_its_own_that_is_run() -> None:
    folder = Path(pipeline.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "pipeline"}
    assert {run.__name__ for run in PASSES} == modules


def test_every_pass_has_tests() -> None:
    assert {f"test_{run.__name__}.py" for run in PASSES} <= {path.name for path in Path(__file__).parent.iterdir()}


def test_a_graph_that_no_pass_applies_to_is_the_same_object() -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
    assert prepared(graph) is graph


def test_every_pass_applies_and_leaves_the_graph_alone() -> None:
    graph = a_graph_for_every_pass()
    before = [node.op for node in graph.nodes]
    for run in PASSES:
        assert run(graph) is not graph, run.__name__
    assert [node.op for node in graph.nodes] == before


def test_the_operators_that_a_pass_needs_are_in_the_graph_that_needs_all() -> None:
    found = traits(a_graph_for_every_pass())
    assert [run.__name__ for run in PASSES if not run.may_apply(found)] == []


def test_a_pass_may_apply_only_to_a_graph_with_an_operator_of_each_group() -> None:
    run = Pass("attention", "matmul gemm", "softmax")
    assert run.may_apply({"gemm", "softmax", "relu"})
    assert not run.may_apply({"softmax"})
    assert not run.may_apply({"gemm", "matmul"})


def test_a_pass_may_need_an_operator_that_reads_the_result_of_another() -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 2], "float32")
    apart = traits(builder.build({"y": builder.matmul(x, x), "z": builder.relu(x)}))
    builder = direct_builder()
    x = builder.input("x", [2, 2], "float32")
    behind = traits(builder.build({"y": builder.relu(builder.matmul(x, x))}))
    assert apart == {"matmul", "relu"}
    assert behind == {"matmul", "matmul>relu", "relu"}
    run = Pass("products_with_relu", "matmul>relu")
    assert run.may_apply(behind)
    assert not run.may_apply(apart)


def test_a_checkpoint_is_met_before_each_pass() -> None:
    met: list[None] = []
    prepared(a_graph_for_every_pass(), lambda: met.append(None))
    assert len(met) == len(PASSES)


def test_an_exported_model_has_no_pass_in_it(tmp_path: Path) -> None:
    graph = a_graph_for_every_pass()
    save_onnx(graph, tmp_path / "model.onnx")
    nodes = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    written = ["Conv", "Reshape", "Relu", "Sigmoid", "BatchNormalization", "InstanceNormalization", "Elu"]
    reduced = ["ReduceL2", "ReduceL1"]
    long = ["Slice", "Expand", "AveragePool", "ReduceSum", "ReduceSum", "Reshape", "CumSum"]
    embedded = ["Equal", "Cast", "Cast", "MatMul"]
    gelu = ["Mul", "Pow", "Mul", "Add", "Mul", "Tanh", "Mul", "Add"]
    attention = ["Transpose", "MatMul", "Softmax", "MatMul"]
    row = ["Reshape", "Slice", "MatMul", "MatMul"]
    gated = ["Reshape", "Sigmoid", "Mul"]
    scattered = ["Less", "Add", "Where", "Reshape", "Equal", "Reshape", "Where", "ReduceSum", "Add"]
    rotated = ["Split", "Cos", "Mul", "Sin", "Mul", "Sub", "Mul", "Mul", "Add", "Concat"]
    normalized = ["Mul", "ReduceMean", "Sqrt", "Div"]
    rows = ["Cast", "Reshape", "Clip", "Gather"]
    blocks = ["Slice", "Expand", "DequantizeLinear", "MatMul"]
    layer = ["Reshape", "Reshape", "MatMul", "Relu"]
    parts = [
        written,
        reduced,
        long,
        embedded,
        gelu,
        attention,
        row,
        gated,
        scattered,
        ["MatMul", "ScatterND"],
        rotated,
        normalized,
        rows,
        blocks,
    ]
    caches = ["Clip", "ScatterElements", "Neg", "Clip", "ScatterElements"]
    parts += [layer, caches, ["Reshape", "Expand", "MatMul", "Mul"]]
    parts += [["Reshape", "Transpose", "Conv"], ["Reshape", "Clip", "Gather", "Relu"]]
    parts += [["Cast", "Not", "Cast"]]
    assert nodes == [node for part in parts for node in part]


def test_inputs_and_outputs_keep_their_names_through_the_passes() -> None:
    with webnn.ML().create_context(backend="onnxruntime") as context:
        builder = context.create_graph_builder()
        graph = builder.build({"out put": builder.sigmoid(builder.input("in put", [1], "float32"))})
        result = context.compute(graph, {"in put": np.zeros(1, np.float32)})
        assert result["out put"].tolist() == [0.5]
