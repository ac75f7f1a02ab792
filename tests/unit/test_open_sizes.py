"""Graphs of one file for several sizes share a session, and compute what each would compute alone."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import webnn
from tests.forks import in_child
from webnn.backends.onnxruntime import backend, shared_sessions
from webnn.backends.onnxruntime.open_sizes import open_sizes
from webnn.backends.session_cache import session_cache
from webnn.errors import OperationError

Array = np.ndarray[Any, Any]

WIDTH, HEADS, DEPTH = 384, 6, 64
MOST = 512


def attending(path: Path, *, seed: int = 0, batch: int | str = "batch") -> Path:
    """Attention with positions and a causal mask, of which both depend on the number of rows, in float32 with int8."""
    random = np.random.default_rng(seed)
    weights: dict[str, Array] = {
        "positions": random.standard_normal((1, MOST, WIDTH), np.float32),
        "w": random.standard_normal((WIDTH, WIDTH), np.float32) / 20,
        "integers": random.integers(-100, 100, (WIDTH, WIDTH)).astype(np.int8),
        "scale": np.array(1e-3, np.float32),
        "table": random.standard_normal((32, HEADS), np.float32),
        **{name: np.array(value, np.int64) for name, value in (("0", [0]), ("1", [1]), ("2", [2]), ("axis", [1]))},
        "heads": np.array([0, 0, HEADS, DEPTH], np.int64),
        "merged": np.array([0, 0, WIDTH], np.int64),
        **{name: np.array(value, np.int64) for name, value in (("zero", 0), ("one", 1), ("most", 31))},
        "least": np.array(-1e9, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Slice", ["shape", "1", "2"], ["rows"]),
        node("Squeeze", ["rows", "0"], ["count"]),
        node("Slice", ["positions", "0", "rows", "axis"], ["places"]),
        node("Add", ["x", "places"], ["placed"]),
        node("Cast", ["integers"], ["floats"], to=TensorProto.FLOAT),
        node("Mul", ["floats", "scale"], ["from.integers"]),
        node("MatMul", ["placed", "from.integers"], ["q.rows"]),
        node("MatMul", ["placed", "w"], ["k.rows"]),
        node("Reshape", ["q.rows", "heads"], ["q.heads"]),
        node("Reshape", ["k.rows", "heads"], ["k.heads"]),
        node("Transpose", ["q.heads"], ["q"], perm=[0, 2, 1, 3]),
        node("Transpose", ["k.heads"], ["k"], perm=[0, 2, 3, 1]),
        node("Transpose", ["k.heads"], ["v"], perm=[0, 2, 1, 3]),
        node("MatMul", ["q", "k"], ["scores"]),
        # The distance of each two rows, looked up in a table, as in T5.
        node("Range", ["zero", "count", "one"], ["range"]),
        node("Unsqueeze", ["range", "0"], ["keys"]),
        node("Unsqueeze", ["range", "axis"], ["queries"]),
        node("Sub", ["queries", "keys"], ["distance"]),
        node("Max", ["distance", "zero"], ["past"]),
        node("Min", ["past", "most"], ["bucket"]),
        node("Gather", ["table", "bucket"], ["bias.last"]),
        node("Transpose", ["bias.last"], ["bias"], perm=[2, 0, 1]),
        node("Add", ["scores", "bias"], ["biased"]),
        node("Less", ["distance", "zero"], ["is.ahead"]),
        node("Where", ["is.ahead", "least", "biased"], ["masked"]),
        node("Softmax", ["masked"], ["shares"], axis=-1),
        node("MatMul", ["shares", "v"], ["mixed"]),
        node("Transpose", ["mixed"], ["mixed.rows"], perm=[0, 2, 1, 3]),
        node("Reshape", ["mixed.rows", "merged"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, "rows", WIDTH]) for name in ("x", "y"))
    graph = helper.make_graph(
        nodes, "attending", [x], [y], [numpy_helper.from_array(value, name) for name, value in weights.items()]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def session_of(graph: webnn.MLGraph) -> object:
    assert graph._used is not None
    return graph._used.executable.session  # type: ignore[attr-defined]


def given(batch: int, rows: int) -> dict[str, Array]:
    return {"x": np.random.default_rng(rows).standard_normal((batch, rows, WIDTH), np.float32)}


def loaded(model: Any, context: webnn.MLContext, feeds: Mapping[str, Array]) -> tuple[webnn.MLGraph, Array]:
    """The graph of `model` for these inputs, and its output."""
    graph = webnn.load_onnx(model, context, shapes={name: array.shape for name, array in feeds.items()})
    return graph, context.compute(graph, feeds)["y"]


def test_all_sizes_of_a_file_have_one_session_and_the_right_results(tmp_path: Path) -> None:
    path = attending(tmp_path / "model.onnx")
    kept = []
    with webnn.create_context() as context, webnn.create_context(backend="arrays") as reference:
        # With 6, 64 and 384 rows, sizes are equal that differ otherwise.
        for batch, rows in ((1, 17), (1, 6), (1, 64), (3, 17), (2, 384), (6, 6)):
            feeds = given(batch, rows)
            graph, found = loaded(path, context, feeds)
            kept.append(graph)
            _, expected = loaded(path, reference, feeds)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        assert len({id(session_of(graph)) for graph in kept}) == 1
        queued = [context.run(graph, given(*graph.inputs["x"].shape[:2])) for graph in kept]
        for graph, results in zip(kept, [each.result() for each in queued], strict=True):
            feeds = given(*graph.inputs["x"].shape[:2])
            np.testing.assert_array_equal(results["y"], context.compute(graph, feeds)["y"])


def test_explain_lists_the_operators_of_a_size_that_was_not_compiled_itself(tmp_path: Path) -> None:
    path = attending(tmp_path / "model.onnx")
    with webnn.create_context() as context:
        (_, _), (second, _) = (loaded(path, context, given(1, rows)) for rows in (17, 20))
        assert "CPUExecutionProvider" in str(second.explain())


def test_a_session_lives_as_long_as_a_graph_of_any_size(tmp_path: Path) -> None:
    path = attending(tmp_path / "model.onnx")
    with webnn.create_context() as context:
        first, _ = loaded(path, context, given(1, 17))
        second, _ = loaded(path, context, given(1, 20))
        first.destroy()
        del first
        session_cache.clear()
        gc.collect()
        again, found = loaded(path, context, given(1, 17))
        assert session_of(again) is session_of(second)
        second.destroy()
        np.testing.assert_array_equal(context.compute(again, given(1, 17))["y"], found)


def test_weights_that_differ_are_not_shared(tmp_path: Path) -> None:
    with webnn.create_context() as context:
        first, before = loaded(attending(tmp_path / "a.onnx"), context, given(1, 17))
        second, after = loaded(attending(tmp_path / "b.onnx", seed=1), context, given(1, 17))
        third, last = loaded(attending(tmp_path / "a.onnx", seed=1), context, given(1, 20))  # the file is replaced
        assert len({id(session_of(graph)) for graph in (first, second, third)}) == 3
        assert not np.allclose(before, after)
        _, expected = loaded(tmp_path / "b.onnx", context, given(1, 20))
        np.testing.assert_array_equal(last, expected)


def test_weights_that_their_owner_changes_are_not_shared(tmp_path: Path) -> None:
    data = bytearray(attending(tmp_path / "a.onnx").read_bytes())
    other = attending(tmp_path / "b.onnx", seed=1).read_bytes()
    with webnn.create_context() as context:
        first, _ = loaded(data, context, given(1, 17))
        data[:] = other
        second, found = loaded(data, context, given(1, 20))
        assert session_of(second) is not session_of(first)
        _, expected = loaded(other, context, given(1, 20))
        np.testing.assert_array_equal(found, expected)


def test_a_file_whose_sizes_are_fixed_has_a_session_of_its_own(tmp_path: Path) -> None:
    path = attending(tmp_path / "model.onnx", batch=1)
    with webnn.create_context() as context:
        graph, _ = loaded(path, context, given(1, 17))
        assert graph._graph.open_dimensions == {"x": [None, "rows", None]}
        fixed = graph.context.create_graph_builder()
        x = fixed.input("x", [4, WIDTH], "float32")
        assert fixed.build({"y": fixed.relu(x)})._graph.open_dimensions == {}


def test_a_text_file_of_any_size_has_one_session(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal((600, 600), np.float32)
    webnn.save_safetensors(tmp_path / "dense.safetensors", {"w": weights})
    (tmp_path / "dense.webnn").write_text(
        'webnn_graph "dense" v2 {\n'
        '  inputs { x: f32[dyn("rows", 4096), 600]; }\n'
        '  consts { w: f32[600, 600] @weights("w"); }\n'
        "  nodes { y = matmul(x, w); }\n"
        "  outputs { y; }\n}\n"
    )
    with webnn.create_context() as context:
        kept = []
        for rows in (20, 50):
            graph = webnn.load_webnn(tmp_path / "dense.webnn", context, shapes={"rows": rows})
            x = np.random.default_rng(rows).standard_normal((rows, 600), np.float32)
            np.testing.assert_allclose(context.compute(graph, {"x": x})["y"], x @ weights, rtol=1e-3, atol=1e-3)
            kept.append(graph)
        assert session_of(kept[0]) is session_of(kept[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_makes_a_session_of_its_own(tmp_path: Path) -> None:
    path = attending(tmp_path / "model.onnx")
    with webnn.create_context() as context:
        graph, expected = loaded(path, context, given(1, 17))

        def child() -> tuple[bool, Array]:
            with webnn.create_context() as own:
                other, found = loaded(path, own, given(1, 17))
                return session_of(other) is session_of(graph), found

        shares, found = in_child(child)
        assert not shares
        np.testing.assert_array_equal(found, expected)


def simple_model(nodes: list[onnx.NodeProto], constants: Mapping[str, Array]) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [8])
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], weights))


def test_what_depends_on_sizes_alone_is_computed_apart() -> None:
    nodes = [
        helper.make_node("Mul", ["places", "two"], ["doubled"]),
        helper.make_node("Reshape", ["x", "list"], ["flat"]),
        helper.make_node("Add", ["flat", "doubled"], ["y"]),
    ]
    constants = {"places": np.arange(8, dtype=np.float32), "two": np.array(2, np.float32), "list": np.array([8])}
    model = simple_model(nodes, constants)
    found = open_sizes(model, {}, {"x": [None, "n"]})
    assert found is not None
    assert found.computed is not None
    assert [node.op_type for node in found.computed.graph.node] == ["Mul"]
    assert found.operands.keys() == {"places", "two"}
    assert [value.tolist() for value in found.parameters.values()] == [[8]]
    assert [node.op_type for node in model.graph.node] == ["Reshape", "Add"]
    assert [len(info.type.tensor_type.shape.dim) for info in model.graph.input] == [2, 1]
    assert not model.graph.initializer
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [(dim.dim_value, dim.dim_param) for dim in dims] == [(1, ""), (0, "n")]


def test_a_list_that_is_an_output_too_leaves_a_model_as_it_was() -> None:
    nodes = [helper.make_node("Add", ["places", "places"], ["y"])]
    model = simple_model(nodes, {"places": np.arange(8, dtype=np.float32)})
    before = model.SerializeToString()
    assert open_sizes(model, {}, {"x": [None, "n"]}) is None
    assert model.SerializeToString() == before


def test_what_a_body_reads_is_no_parameter() -> None:
    body = helper.make_graph(
        [helper.make_node("Add", ["places", "places"], ["inner"])],
        "body",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [8])],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["chosen"], to=TensorProto.BOOL),
        helper.make_node("If", ["chosen"], ["y"], then_branch=body, else_branch=body),
    ]
    model = simple_model(nodes, {"places": np.arange(8, dtype=np.float32)})
    found = open_sizes(model, {}, {"x": [None, "n"]})
    assert found is not None
    assert not found.parameters
    assert [tensor.name for tensor in model.graph.initializer] == ["places"]


def packed(path: Path, *, has_value_as_output: bool = False) -> Path:
    """Attention whose queries, keys and values are slices of one product, as exporters write `chunk`."""
    random = np.random.default_rng(0)
    ends = {f"end{part}": np.array([part * WIDTH], np.int64) for part in range(4)}
    weights: dict[str, Array] = {
        "w": random.standard_normal((WIDTH, 3 * WIDTH), np.float32) / 20,
        "out": random.standard_normal((WIDTH, WIDTH), np.float32) / 20,
        "scale": np.array(DEPTH**-0.5, np.float32),
        "last": np.array([2], np.int64),
        "heads": np.array([0, 0, HEADS, DEPTH], np.int64),
        "merged": np.array([0, 0, WIDTH], np.int64),
        **ends,
    }
    node = helper.make_node
    nodes = [node("MatMul", ["x", "w"], ["qkv"])]
    for part, (name, order) in enumerate({"q": [0, 2, 1, 3], "k": [0, 2, 3, 1], "v": [0, 2, 1, 3]}.items()):
        nodes += [
            node("Slice", ["qkv", f"end{part}", f"end{part + 1}", "last"], [f"{name}.rows"]),
            node("Reshape", [f"{name}.rows", "heads"], [f"{name}.heads"]),
            node("Transpose", [f"{name}.heads"], [name], perm=order),
        ]
    nodes += [
        node("MatMul", ["q", "k"], ["products"]),
        node("Mul", ["products", "scale"], ["scores"]),
        node("Softmax", ["scores"], ["shares"], axis=-1),
        node("MatMul", ["shares", "v"], ["mixed"]),
        node("Transpose", ["mixed"], ["mixed.rows"], perm=[0, 2, 1, 3]),
        node("Reshape", ["mixed.rows", "merged"], ["together"]),
        node("MatMul", ["together", "out"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "rows", WIDTH]) for name in ("x", "y")]
    outputs = [values[1]]
    if has_value_as_output:
        outputs.append(helper.make_tensor_value_info("v.rows", TensorProto.FLOAT, ["batch", "rows", WIDTH]))
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "packed", [values[0]], outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


@pytest.mark.parametrize("has_value_as_output", [False, True])
def test_attention_to_slices_of_one_product_has_one_session(tmp_path: Path, has_value_as_output: bool) -> None:
    """The standard's inference takes the size of the values for 0 where it does not know it."""
    path = packed(tmp_path / "model.onnx", has_value_as_output=has_value_as_output)
    kept = []
    with webnn.create_context() as context, webnn.create_context(backend="arrays") as reference:
        for batch, rows in ((1, 20), (2, 33), (1, 600)):
            feeds = given(batch, rows)
            graph, found = loaded(path, context, feeds)
            assert "attention" in str(graph.explain())
            kept.append(graph)
            np.testing.assert_allclose(found, loaded(path, reference, feeds)[1], rtol=1e-4, atol=1e-4)
        assert len({id(session_of(graph)) for graph in kept[:2]}) == 1


def test_a_model_that_cannot_be_left_open_has_a_session_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_sessions, "_declare_values", lambda *_: None)
    path, feeds = packed(tmp_path / "model.onnx"), given(1, 20)
    with webnn.create_context() as context, webnn.create_context(backend="arrays") as reference:
        expected = loaded(path, reference, feeds)[1]
        np.testing.assert_allclose(loaded(path, context, feeds)[1], expected, rtol=1e-4, atol=1e-4)


def test_only_a_refusal_of_the_open_sizes_is_answered_with_a_session_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To compile again would take as much memory and time again, and hide what went wrong."""
    models = set()

    def failing(_: object, model: bytes, *__: object) -> NoReturn:
        models.add(model)
        raise OperationError("onnxruntime: out of memory")

    path, feeds = packed(tmp_path / "model.onnx"), given(1, 20)
    monkeypatch.setattr(backend, "_session", failing)
    with webnn.create_context() as context, pytest.raises(OperationError, match="out of memory"):
        loaded(path, context, feeds)
    assert len(models) == 1
