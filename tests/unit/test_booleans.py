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


def test_truth_values_of_one_graph_are_bytes_for_the_next(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x = builder.input("x", [2, 3], "float32")
    compared = builder.build({"mask": builder.greater(x, builder.constant("float32", 2))})
    builder = context.create_graph_builder()
    truth = builder.input("mask", [2, 3], "uint8")
    added = builder.build({"sum": builder.add(truth, truth), "not": builder.logical_not(truth)})
    given = context.create_tensor(X)
    mask, twice, inverse = (context.create_tensor([2, 3], "uint8", readable=True) for _ in range(3))
    for _ in range(3):  # its memory is that of both types in turn
        context.dispatch(compared, {"x": given}, {"mask": mask})
        context.dispatch(added, {"mask": mask}, {"sum": twice, "not": inverse})
        context.dispatch(added, {"mask": twice}, {"sum": mask, "not": inverse})
        np.testing.assert_array_equal(context.read_tensor(mask).result(), 4 * (X > 2))
        np.testing.assert_array_equal(context.read_tensor(twice).result(), 2 * (X > 2))
        np.testing.assert_array_equal(context.read_tensor(inverse).result(), X <= 2)


@pytest.mark.parametrize("rows", [2, "rows"])
def test_booleans_are_no_other_numbers(rows: int | str, tmp_path: Path) -> None:
    with (
        webnn.Model(masked(tmp_path, rows)) as model,
        pytest.raises(ValidationError, match=r"input 'x': expected float32 .*, got bool \[2, 3\]; convert it"),
    ):
        model({"mask": MASK, "x": MASK})


TRUTHS = {
    "an input": [helper.make_node("Identity", ["p"], ["like"])],
    "a comparison": [helper.make_node("Greater", ["x", "ones"], ["like"])],
    "a test for NaN": [helper.make_node("IsNaN", ["x"], ["like"])],
    "logic": [helper.make_node("And", ["p", "q"], ["like"])],
    "a cast": [helper.make_node("Cast", ["x"], ["like"], to=TensorProto.BOOL)],
    "values that moved": [
        helper.make_node("Not", ["p"], ["not"]),
        helper.make_node("Concat", ["not", "q"], ["both"], axis=0),
        helper.make_node("Flatten", ["both"], ["column"], axis=1),
        helper.make_node("Transpose", ["column"], ["row"]),
        helper.make_node("Where", ["row", "row", "row"], ["like"]),
    ],
}


@pytest.mark.parametrize("truth", TRUTHS)
def test_what_is_cast_like_a_computed_truth_value_is_one(truth: str, tmp_path: Path) -> None:
    cast = helper.make_node("CastLike", ["x", "like"], ["y"])
    np.testing.assert_array_equal(casted(tmp_path, [*TRUTHS[truth], cast]), [0, 1, 1, 1])


def test_what_is_cast_like_a_computed_byte_stays_a_number(tmp_path: Path) -> None:
    byte = helper.make_node("Cast", ["p"], ["like"], to=TensorProto.UINT8)
    np.testing.assert_array_equal(
        casted(tmp_path, [byte, helper.make_node("CastLike", ["x", "like"], ["y"])]), [0, 1, 3, 0]
    )


def casted(folder: Path, nodes: list[onnx.NodeProto]) -> object:
    """The output `y` of `nodes`, of 0, 1.5, 3.25 and 0.5."""
    given = {
        "x": np.array([0, 1.5, 3.25, 0.5], np.float32),
        "ones": np.array([1, 1, 1, 1], np.float32),
        "p": np.array([True, False, True, False]),
        "q": np.array([True, True, False, False]),
    }
    infos = [
        helper.make_tensor_value_info(
            name, TensorProto.BOOL if array.dtype == np.bool_ else TensorProto.FLOAT, array.shape
        )
        for name, array in given.items()
    ]
    outputs = [onnx.ValueInfoProto(name="y")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", infos, outputs), opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    )
    path = folder / "casted.onnx"
    onnx.save(model, path)
    with webnn.create_context() as context:
        graph = webnn.load_onnx(path, context)
        return context.compute(graph, given)["y"]
