"""`graph.save("model.onnx")`: standard ONNX that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import webnn
from tests.direct import direct_builder, run_graph
from tests.emitted import emitted_operators
from tests.property.calls import VALID, valid_call
from tests.property.draft import Draft
from tests.property.tolerances import EXACT, TOLERANCES, difference
from webnn.backends.onnx.export import save_onnx
from webnn.backends.onnx.model import _ONNX_TYPES, OPSET, standard_types
from webnn.backends.onnx.portable import WITHOUT_KERNELS
from webnn.backends.onnxruntime import native
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.kernel_types import VERSION, kernel_types
from webnn.backends.onnxruntime.kernels import CpuKernels, _registered, _types, cpu_kernels
from webnn.errors import InvalidStateError, ValidationError
from webnn.formats import import_onnx
from webnn.graph.builder import MLGraphBuilder
from webnn.runtime.graph import MLGraph

BACKEND = OnnxRuntimeBackend()
RNG = np.random.default_rng(1)


@pytest.fixture
def builder() -> Any:
    with webnn.ML().create_context() as context:
        yield context.create_graph_builder()


def check(graph: MLGraph, path: Path, feeds: dict[str, np.ndarray[Any, Any]]) -> onnx.ModelProto:
    """Save, and compare what onnxruntime makes of the file with what the graph gives."""
    graph.save(path)
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path)
    results = dict(zip((o.name for o in session.get_outputs()), session.run(None, feeds), strict=True))
    expected = graph.context.compute(graph, feeds)
    assert set(results) == set(expected)
    for name, result in expected.items():
        np.testing.assert_allclose(results[name], result, rtol=1e-5)
    return onnx.load(path, load_external_data=False)


def test_a_small_model_is_one_file(builder: MLGraphBuilder[MLGraph], tmp_path: Path) -> None:
    x = builder.input("x", [4, 100], "float32")
    w = builder.constant(RNG.random((100, 100), np.float32))
    check(builder.build({"y": builder.relu(builder.matmul(x, w))}), tmp_path / "m.onnx", {"x": np.ones((4, 100), "f")})
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_names_in_the_file_can_be_others(builder: MLGraphBuilder[MLGraph], tmp_path: Path) -> None:
    graph = builder.build({"136": builder.relu(builder.input("onnx::Relu_0", [2], "float32"))})
    graph.save(tmp_path / "m.onnx", names={"136": "logits", "onnx::Relu_0": "x"})
    saved = onnx.load(tmp_path / "m.onnx").graph
    assert [value.name for value in (*saved.input, *saved.output)] == ["x", "logits"]
    assert list(graph.inputs) == ["onnx::Relu_0"]


def test_a_model_that_is_saved_again_and_again_stays_the_same(builder: MLGraphBuilder[MLGraph], tmp_path: Path) -> None:
    x = builder.input("x", [1, 2, 4, 4], "float32")
    w = builder.constant(RNG.random((3, 2, 3, 3), np.float32))
    y = builder.conv2d(x, w, padding=[1, 1, 1, 1], bias=builder.constant(np.ones(3, np.float32)))
    graph = builder.build({"y": builder.softmax(builder.relu(y), 1), "pooled": builder.max_pool2d(y)})
    for name in ("a.onnx", "b.onnx"):
        graph.save(tmp_path / name)
        loaded = webnn.load_onnx(tmp_path / name, graph.context)
        assert loaded._graph.structure_hash == graph._graph.structure_hash
        graph = loaded


def test_large_weights_go_beside_the_model_where_they_can_be_mapped(
    builder: MLGraphBuilder[MLGraph], tmp_path: Path
) -> None:
    x = builder.input("x", [4, 300], "float32")
    small = builder.constant(RNG.random((300, 300), np.float32))
    large = builder.constant(RNG.random((300, 1000), np.float32))
    graph = builder.build({"y": builder.matmul(builder.matmul(x, small), large)})
    model = check(graph, tmp_path / "m.onnx", {"x": np.ones((4, 300), "f")})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    places = [{e.key: e.value for e in t.external_data} for t in model.graph.initializer if t.external_data]
    assert [int(p["length"]) for p in places] == [360_000, 1_200_000]
    assert {p["location"] for p in places} == {"m.onnx.data"}
    assert [int(p["offset"]) % alignment for p, alignment in zip(places, (64, 4096), strict=True)] == [0, 0]
    assert (tmp_path / "m.onnx").stat().st_size < 2000


def test_names_are_kept_also_those_that_lowerings_would_take(builder: MLGraphBuilder[MLGraph], tmp_path: Path) -> None:
    x, y = builder.input("data:0", [2], "float32"), builder.input("größe", [2], "float32")
    graph = builder.build({"Add0": builder.mul(builder.add(x, y), y), "weight": builder.sub(x, y)})
    feeds = {"data:0": np.array([1, 2], "f"), "größe": np.array([3, 5], "f")}
    model = check(graph, tmp_path / "m.onnx", feeds)
    assert [i.name for i in model.graph.input] == ["data:0", "größe"]
    assert [o.name for o in model.graph.output] == ["Add0", "weight"]


def test_what_is_returned_and_read_too_is_not_copied(builder: MLGraphBuilder[MLGraph], tmp_path: Path) -> None:
    x = builder.input("x", [2], "float32")
    y = builder.neg(x)
    c = builder.constant(np.ones(1, np.float32))
    named = {"again": y, "x0": builder.identity(x), "c": builder.identity(c)}
    graph = builder.build({"y": y, "z": builder.abs(y), **named})
    model = check(graph, tmp_path / "model.onnx", {"x": np.array([1, -2], np.float32)})
    assert [(node.op_type, *node.output) for node in model.graph.node if node.op_type != "Identity"] == [
        ("Neg", "y"),
        ("Abs", "z"),
    ]
    assert sorted(node.output[0] for node in model.graph.node if node.op_type == "Identity") == ["again", "c", "x0"]


def test_types_that_the_standard_lacks_are_cast(builder: MLGraphBuilder[MLGraph], tmp_path: Path) -> None:
    x, i = builder.input("x", [4, 3], "float32"), builder.input("i", [2], "uint32")
    graph = builder.build({"y": builder.gather(x, i)})
    check(graph, tmp_path / "m.onnx", {"x": RNG.random((4, 3), np.float32), "i": np.array([3, 1], np.uint32)})


@pytest.mark.parametrize("known", [True, False], ids=["constants", "inputs"])
@pytest.mark.parametrize(("to", "back"), [((2, 3, 2), (2, 3, 2)), ((2, 1, 1), (1, 1, 1)), ((4, 1, 2), (1, 2, 4))])
def test_blocks_of_4_bit_numbers_along_any_axes_are_read_by_us(
    to: tuple[int, ...], back: tuple[int, ...], known: bool, tmp_path: Path
) -> None:
    """WebNN reshapes no such numbers: only what they are computed from, and the scales."""
    builder, feeds = direct_builder(BACKEND), {"x": 10 * RNG.random((4, 6, 4), np.float32)}
    scales = {f"{i}": RNG.random(shape, np.float32) + 0.5 for i, shape in enumerate((to, back))}
    feeds |= {} if known else scales
    first, second = (builder.constant(a) if known else builder.input(n, a.shape, "float32") for n, a in scales.items())
    zeros = [builder.constant(RNG.integers(0, 5, shape).astype(ml_dtypes.uint4)) for shape in (to, back)]
    quantized = builder.quantize_linear(builder.input("x", [4, 6, 4], "float32"), first, zeros[0])
    graph = builder.build({"y": builder.dequantize_linear(quantized, second, zeros[1])})
    expected = run_graph(graph, feeds, BACKEND)
    save_onnx(graph, tmp_path / "m.onnx")
    builder = direct_builder(BACKEND)
    ours = run_graph(builder.build(import_onnx(tmp_path / "m.onnx", builder)), feeds, BACKEND)
    np.testing.assert_array_equal(ours["y"], expected["y"])


@pytest.mark.parametrize("op", VALID)
@settings(max_examples=3)
@given(data=st.data())
def test_every_operator_is_read_by_plain_onnxruntime_and_by_us(
    tmp_path_factory: pytest.TempPathFactory, op: str, data: st.DataObject
) -> None:
    """Also for those types that the standard has and onnxruntime has no kernels for."""
    draft = Draft(data, BACKEND)
    outputs = [o for o in valid_call(draft, op).on(draft.builder) if o.data_type not in ("int4", "uint4")]
    if not outputs:
        return
    path = tmp_path_factory.getbasetemp() / "m.onnx"
    graph = draft.builder.build({f"out{i}": draft.builder.identity(o) for i, o in enumerate(outputs)})
    save_onnx(graph, path)
    feeds = {name: draft.feeds[name] for name in graph.inputs}
    expected = run_graph(graph, feeds, BACKEND)
    builder = direct_builder(BACKEND)
    ours = run_graph(builder.build(import_onnx(path, builder)), feeds, BACKEND)
    theirs = dict(zip(expected, onnxruntime.InferenceSession(path).run(list(expected), feeds), strict=True))
    for name, result in expected.items():
        assert difference(ours[name], result, TOLERANCES.get(op, EXACT)) is None
        if op != "sigmoid":  # (whose kernel loses digits near 0)
            assert difference(theirs[name], result, TOLERANCES.get(op, EXACT)) is None


@pytest.mark.parametrize("name", ["x", "a\nb"])
def test_a_name_that_onnx_cannot_have_is_refused(builder: MLGraphBuilder[MLGraph], tmp_path: Path, name: str) -> None:
    graph = builder.build({name: builder.relu(builder.input("x", [2], "float32"))})
    with pytest.raises(ValidationError, match=r"output .*: ONNX cannot have this name, since"):
        graph.save(tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_is_refused_with_those_that_there_are(
    builder: MLGraphBuilder[MLGraph], tmp_path: Path
) -> None:
    graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
    with pytest.raises(ValidationError, match=r"save: the suffix must be one of .*\.onnx.*, got '.*m\.txt'"):
        graph.save(tmp_path / "m.txt")
    with pytest.raises(ValidationError, match=r"save: \.onnx: got an unexpected keyword argument 'weights'"):
        graph.save(tmp_path / "m.onnx", weights="blob")


def test_a_destroyed_graph_is_not_saved(builder: MLGraphBuilder[MLGraph], tmp_path: Path) -> None:
    graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
    graph.destroy()
    with pytest.raises(InvalidStateError, match=r"save: .* was destroyed"):
        graph.save(tmp_path / "m.onnx")


def test_a_failed_save_leaves_the_file_that_was_there(builder: MLGraphBuilder[MLGraph], tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("before")
    graph = builder.build({"x": builder.relu(builder.input("x", [2], "float32"))})
    with pytest.raises(ValidationError):
        graph.save(tmp_path / "m.onnx")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("m.onnx", "before")]


def test_types_without_kernels_are_those_that_onnxruntime_lacks() -> None:
    floats = {"float16", "float32", "float64"}
    missing = {}
    for name in emitted_operators():
        for constraint in onnx.defs.get_schema(name, OPSET, "").type_constraints:
            variable = constraint.type_param_str
            standard, computed = standard_types(name, "", variable), cpu_kernels().types(name, "", variable)
            if standard is not None and computed is not None and not standard <= computed | floats:
                missing[name, variable] = standard - computed - floats
    assert missing == WITHOUT_KERNELS


@pytest.mark.skipif(not native.version.startswith(VERSION), reason=f"onnxruntime is {native.version}")
def test_the_table_of_kernels_is_that_of_onnxruntimes_registry() -> None:
    types = {*_ONNX_TYPES}
    for name in emitted_operators():
        registered = _registered().get((name, ""))
        constraints = {} if registered is None else _types(registered)
        wanted = {variable: allowed & types for variable, allowed in constraints.items() if allowed & types}
        assert (kernel_types(name) or {}) == wanted, name


def test_an_operator_that_the_table_lacks_is_looked_up_in_the_registry() -> None:
    assert kernel_types("Affine") is None
    assert CpuKernels().types("Affine", "", "T") == frozenset({"float32", "float16"})


def test_every_operator_has_a_kernel_for_the_types_that_are_not_looked_up() -> None:
    kernels = cpu_kernels()
    missing = []
    for name in emitted_operators():
        for constraint in onnx.defs.get_schema(name, OPSET, "").type_constraints:
            variable = constraint.type_param_str
            standard, computed = standard_types(name, "", variable), kernels.types(name, "", variable)
            if standard is not None and computed is not None:
                missing += [(name, variable, t) for t in kernels.everywhere if t in standard - computed]
    assert missing == []
    assert "float64" not in (kernels.types("Erf", "", "T") or ())  # so that not every type would pass
