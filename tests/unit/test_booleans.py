"""Arrays of booleans: they are uint8, which WebNN has in their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import webnn
from webnn.errors import ValidationError

MASK = np.array([[True, False, True], [False, False, True]])
X = np.arange(6, dtype=np.float32).reshape(2, 3)
CHOSEN = np.where(MASK, X, -X)


def masked(folder: Path, rows: int | str) -> Path:
    """A model that takes `x` where a mask is true, and its negative elsewhere."""
    inputs = [
        helper.make_tensor_value_info("mask", TensorProto.BOOL, [rows, 3]),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 3]),
    ]
    nodes = [helper.make_node("Neg", ["x"], ["negative"]), helper.make_node("Where", ["mask", "x", "negative"], ["y"])]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 3])
    path = folder / "masked.onnx"
    graph = helper.make_graph(nodes, "masked", inputs, [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


@pytest.mark.parametrize("rows", [2, "rows"])
@pytest.mark.parametrize("mask", [MASK, np.asfortranarray(MASK), MASK.tolist(), MASK.astype(np.uint8)])
def test_a_model_takes_booleans_whether_its_sizes_are_open_or_not(
    rows: int | str, mask: object, tmp_path: Path
) -> None:
    with webnn.Model(masked(tmp_path, rows)) as model:
        np.testing.assert_array_equal(model({"mask": mask, "x": X})["y"], CHOSEN)


def test_items_with_booleans_are_computed_together(tmp_path: Path) -> None:
    with webnn.Model(masked(tmp_path, "rows"), batch="rows") as model:
        items = [{"mask": mask, "x": x} for mask, x in zip(MASK, X, strict=True)]
        results = [result["y"] for result in model.map(items, batch=2, progress=False)]
        np.testing.assert_array_equal(results, CHOSEN)


def test_every_call_of_a_context_takes_booleans(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x, mask = builder.input("x", [2, 3], "float32"), builder.input("mask", [2, 3], "uint8")
    known = builder.constant(MASK)
    assert known.data_type == "uint8"
    y = builder.where(builder.logical_and(mask, known), x, -x)
    graph = builder.build({"y": y})
    feeds = {"x": X, "mask": MASK}
    np.testing.assert_array_equal(context.compute(graph, feeds)["y"], CHOSEN)
    np.testing.assert_array_equal(context.run(graph, feeds).result()["y"], CHOSEN)
    given, tensor = context.create_tensor(X), context.create_tensor([2, 3], "uint8", writable=True)
    result = context.create_tensor([2, 3], "float32", readable=True)
    context.write_tensor(tensor, MASK)
    context.dispatch(graph, {"x": given, "mask": tensor}, {"y": result})
    np.testing.assert_array_equal(context.read_tensor(result).result(), CHOSEN)


@pytest.mark.parametrize("rows", [2, "rows"])
def test_booleans_are_no_other_numbers(rows: int | str, tmp_path: Path) -> None:
    with (
        webnn.Model(masked(tmp_path, rows)) as model,
        pytest.raises(ValidationError, match=r"input 'x': expected float32 .*, got bool \[2, 3\]; convert it"),
    ):
        model({"mask": MASK, "x": MASK})
