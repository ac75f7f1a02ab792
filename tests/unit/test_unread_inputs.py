"""Inputs that a file declares and no output depends on: programs written for the file give them, too."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import webnn
from webnn.errors import ValidationError

X = np.arange(8, dtype=np.float32).reshape(2, 4) - 3
KINDS = np.zeros((2, 3), np.int64)
WANTED = np.maximum(X, 0)


@pytest.fixture(params=["never read", "read for its shape", "read by another output"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model whose output `y` depends on `x` only, though it has an input `kinds`."""
    nodes, output = [helper.make_node("Relu", ["x"], ["y"])], ["y"]
    if request.param == "read for its shape":
        shape = [helper.make_node("Shape", ["kinds"], ["s"]), helper.make_node("ReduceProd", ["s"], ["n"], keepdims=0)]
        minimum = [helper.make_node("Sub", ["n", "n"], ["i"]), helper.make_node("Cast", ["i"], ["zero"], to=1)]
        nodes = [*shape, *minimum, helper.make_node("Max", ["x", "zero"], ["y"])]
    elif request.param == "read by another output":
        nodes.append(helper.make_node("Abs", ["kinds"], ["z"]))
        output.append("z")
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]),
        helper.make_tensor_value_info("kinds", TensorProto.INT64, ["n", "t"]),
    ]
    graph = helper.make_graph(nodes, "g", inputs, [onnx.ValueInfoProto(name=name) for name in output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_they_may_be_given_to_compute_run_and_stream_and_are_ignored(path: Path) -> None:
    shapes = {"x": [2, 4], "kinds": [2, 3]}

    async def program() -> list[Any]:
        async with webnn.create_context(max_batch=2) as context:
            graph = webnn.load_onnx(path, context, shapes=shapes, outputs=["y"])
            assert list(graph.inputs) == ["x"]
            assert graph.unread_inputs == {"kinds"}
            feeds = {"x": X, "kinds": KINDS}
            results = [context.compute(graph, feeds), context.compute(graph, {"x": X})]
            results += await asyncio.gather(*(context.run(graph, feeds) for _ in range(3)))
            return results + [outputs async for outputs in context.stream(graph, [0], before=lambda _: feeds)]

    for outputs in asyncio.run(program()):
        np.testing.assert_array_equal(outputs["y"], WANTED)


def test_other_names_are_still_refused_and_dispatch_says_what_to_leave_out(path: Path) -> None:
    with webnn.create_context() as context:
        graph = webnn.load_onnx(path, context, shapes={"n": 2, "t": 3}, outputs=["y"])
        with pytest.raises(ValidationError, match="unknown 'kind' among the inputs; the graph has 'x'"):
            context.compute(graph, {"x": X, "kind": KINDS})
        x, kinds = context.create_tensor(X), context.create_tensor(KINDS)
        y = context.create_tensor([2, 4], "float32", readable=True)
        with pytest.raises(ValidationError, match="no output depends on 'kinds', so leave it out"):
            context.dispatch(graph, {"x": x, "kinds": kinds}, {"y": y})


def test_models_take_them_as_their_list_of_inputs_says(path: Path) -> None:
    with webnn.Model(path, outputs=["y"], batch="n") as model:
        assert "kinds" in model.inputs
        np.testing.assert_array_equal(model({"x": X, "kinds": KINDS})["y"], WANTED)


def test_a_constant_is_no_input(path: Path) -> None:
    with webnn.create_context() as context:
        graph = webnn.load_onnx(path, context, shapes={"x": [2, 4]}, constants={"kinds": KINDS}, outputs=["y"])
        assert not graph.unread_inputs
        with pytest.raises(ValidationError, match="unknown 'kinds'"):
            context.compute(graph, {"x": X, "kinds": KINDS})


def test_text_files_may_have_them_and_graphs_of_programs_have_none(tmp_path: Path) -> None:
    (tmp_path / "g.webnn").write_text(
        'webnn_graph "g" v1 { inputs { x: f32[2, 4]; kinds: i64[2, 3]; } nodes { y = relu(x); } outputs { y; } }'
    )
    with webnn.create_context() as context:
        graph = webnn.load_webnn(tmp_path / "g.webnn", context)
        np.testing.assert_array_equal(context.compute(graph, {"x": X, "kinds": KINDS})["y"], WANTED)
        builder = context.create_graph_builder()
        builder.input("kinds", [2, 3], "int64")
        built = builder.build({"y": builder.relu(builder.input("x", [2, 4], "float32"))})
        with pytest.raises(ValidationError, match="unknown 'kinds'"):
            context.compute(built, {"x": X, "kinds": KINDS})


def test_the_command_line_takes_them_and_gives_onnxruntime_zeros(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from webnn.cli.program import main  # noqa: PLC0415 (needs an extra)

    given = [str(path), "--shape", "n=2", "--shape", "t=3", "--only", "y", "--json"]
    assert main(["run", *given, "--input", "x=ones", "--input", "kinds=zeros"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert main(["bench", *given, "--seconds", "0.05"]) == 0
    assert json.loads(capsys.readouterr().out)["peer"]
