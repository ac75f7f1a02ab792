"""What was seen of coremltools 9.0, and does not come through here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import webnn
from webnn.backends.base import PowerPreference
from webnn.backends.coreml.backend import CoreMLBackend
from webnn.backends.coreml.export import MISSING, check_structure, save_coreml
from webnn.backends.coreml.lowerings import lower, lowerings
from webnn.backends.coreml.program import Program
from webnn.cli.program import main
from webnn.errors import NotSupportedError, ValidationError
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph
from webnn.graph.operator import OPERATORS

if find_spec("coremltools") is None:
    pytest.skip(MISSING, allow_module_level=True)

from tests.coreml.interpreter import Package, read_package
from tests.coreml.models import checked, interpreted, outputs_of_package
from tests.models import WEIGHT, layer

Builder = webnn.MLGraphBuilder[webnn.MLGraph]
Array = np.ndarray[Any, Any]
Make = Callable[[Builder], Mapping[str, webnn.MLOperand]]
Save = Callable[[Make], Package]
Outputs = Callable[[Make, Mapping[str, Array]], dict[str, Array]]

X: Final = np.array([[1.5, -2.0, 41.0]], np.float32)


@pytest.fixture
def save(context: webnn.MLContext, tmp_path: Path) -> Save:
    """Saves what is made on a builder; the package has a sound structure."""

    def saved(make: Make) -> Package:
        builder = context.create_graph_builder()
        graph = builder.build(make(builder))
        graph.save(tmp_path / "model.mlpackage")
        return checked(tmp_path / "model.mlpackage", graph)

    return saved


@pytest.fixture
def outputs(context: webnn.MLContext, tmp_path: Path) -> Outputs:
    """What the interpreter computes of what is made on a builder."""

    def computed(make: Make, feeds: Mapping[str, Array]) -> dict[str, Array]:
        builder = context.create_graph_builder()
        return interpreted(builder.build(make(builder)), feeds, tmp_path / "model.mlpackage")

    return computed


def operations(package: Package) -> list[str]:
    """The types of the operations, without constants."""
    return [operation.type for operation in package.block.operations if operation.type != "const"]


def x_of(builder: Builder) -> webnn.MLOperand:
    return builder.input("x", [1, 3], "float32")


def constant(builder: Builder, *numbers: float, dtype: Any = np.float32) -> webnn.MLOperand:
    return builder.constant(np.array(numbers, dtype))


def test_every_operator_is_lowered() -> None:
    assert set(lowerings) == set(OPERATORS)
    assert len(OPERATORS) == 95


# Threads.


def program(context: webnn.MLContext, number: int) -> tuple[Graph, dict[str, Array], Array]:
    """A chain of layers, whose sizes and weights depend on `number`; an input; and the output."""
    rng = np.random.default_rng(number)
    width = 2 + number % 7
    x, weight = (rng.standard_normal(shape).astype(np.float32) for shape in ((3, width), (width, width)))
    builder = context.create_graph_builder()
    y = builder.input("x", [3, width], "float32")
    for _ in range(1 + number % 4):
        y = builder.tanh(builder.add(builder.matmul(y, builder.constant(weight)), builder.constant(x)))
    graph = builder.build({"y": y})
    return graph._graph, {"x": x}, np.asarray(context.compute(graph, {"x": x})["y"])


def test_eighty_programs_of_two_threads_are_all_right(context: webnn.MLContext, tmp_path: Path) -> None:
    programs = [program(context, number) for number in range(80)]

    def is_right(number: int) -> bool:
        graph, feeds, expected = programs[number]
        path = tmp_path / f"{number}.mlpackage"
        save_coreml(graph, path)
        return bool(np.allclose(outputs_of_package(read_package(path), feeds)["y"], expected, rtol=0, atol=1e-5))

    with ThreadPoolExecutor(2) as threads:
        right = list(threads.map(is_right, range(80)))
    assert sum(right) == 80


def test_saving_returns_the_names_that_are_others_in_the_package(context: webnn.MLContext, tmp_path: Path) -> None:
    builder = context.create_graph_builder()
    graph = builder.build({"136": builder.relu(builder.input("x", [2], "float32"))})
    assert save_coreml(graph._graph, tmp_path / "m.mlpackage") == {"inputs": {}, "outputs": {"136": "_136"}}


def test_a_graph_is_saved_with_the_same_bytes_each_time(context: webnn.MLContext, tmp_path: Path) -> None:
    graph, _, _ = program(context, 6)
    contents = []
    for path in (tmp_path / "1.mlpackage", tmp_path / "2.mlpackage"):
        save_coreml(graph, path)
        save_coreml(program(context, 1)[0], tmp_path / "other.mlpackage")
        contents.append([file.read_bytes() for file in sorted((path / "Data").rglob("*.*")) if file.is_file()])
    assert contents[0] == contents[1]


# Passes.


def roots_of_squares(builder: Builder) -> Mapping[str, webnn.MLOperand]:
    return {"y": builder.sqrt(builder.pow(x_of(builder), constant(builder, 2, 2, 2)))}


def quotients(builder: Builder) -> Mapping[str, webnn.MLOperand]:
    return {"y": builder.div(x_of(builder), constant(builder, 41))}


def difference_of_a_product(builder: Builder) -> Mapping[str, webnn.MLOperand]:
    weight = builder.constant(np.eye(3, dtype=np.float32))
    return {"y": builder.sub(constant(builder, 1, 2, 3), builder.matmul(x_of(builder), weight))}


def scaled_sum(builder: Builder) -> Mapping[str, webnn.MLOperand]:
    return {"y": builder.mul(builder.reduce_sum(x_of(builder), axes=[1]), constant(builder, 1e-6))}


def masked(builder: Builder) -> Mapping[str, webnn.MLOperand]:
    mask = builder.constant(np.array([[1, 0, 1]], np.uint8))
    return {"y": builder.where(mask, x_of(builder), constant(builder, -np.inf))}


def truncated_truth(builder: Builder) -> Mapping[str, webnn.MLOperand]:
    whole = builder.cast(builder.mul(x_of(builder), constant(builder, 0.25)), "int32")
    return {"y": builder.cast(builder.not_equal(whole, constant(builder, 0, dtype=np.int32)), "float32")}


@pytest.mark.parametrize(
    ("make", "kept"),
    [
        (roots_of_squares, ["pow", "sqrt"]),
        (quotients, ["real_div"]),
        (difference_of_a_product, ["matmul", "sub"]),
        (scaled_sum, ["reduce_sum", "mul"]),
        (masked, ["select"]),
        (truncated_truth, ["cast", "not_equal", "cast"]),
    ],
)
def test_no_pass_changes_a_program(
    make: Make, kept: list[str], save: Save, outputs: Outputs, context: webnn.MLContext
) -> None:
    found = operations(save(make))
    assert {*kept} <= {*found}
    builder = context.create_graph_builder()
    expected = context.compute(builder.build(make(builder)), {"x": X})["y"]
    np.testing.assert_array_equal(outputs(make, {"x": X})["y"], expected)


def test_float16_is_only_where_the_graph_has_it(save: Save) -> None:
    found = save(roots_of_squares)  # which `checked` has looked through
    assert {feature.type.multiArrayType.dataType for feature in found.spec.description.input} == {65568}  # FLOAT32
    with_halves = save(lambda builder: {"y": builder.relu(builder.cast(x_of(builder), "float16"))})
    assert {feature.type.multiArrayType.dataType for feature in with_halves.spec.description.output} == {65552}


# Constants.


def test_equal_weights_are_stored_once(save: Save) -> None:
    weight = np.arange(9 * 64, dtype=np.float32).reshape(3, 3 * 64)

    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        products = [
            builder.matmul(
                x_of(builder) if i == 0 else builder.input(f"x{i}", [1, 3], "float32"), builder.constant(weight.copy())
            )
            for i in range(3)
        ]
        return {f"y{i}": product for i, product in enumerate(products)}

    found = save(make)
    blobs = sum(file.stat().st_size for file in found.path.rglob("weight.bin"))
    assert weight.nbytes <= blobs < 2 * weight.nbytes


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**40])
def test_integers_that_32_bits_do_not_hold_are_refused(number: int, save: Save) -> None:
    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        return {"y": builder.max(builder.input("x", [1], "int64"), constant(builder, number, dtype=np.int64))}

    with pytest.raises(NotSupportedError, match=rf"max: .*32 bits, and a constant has {number}"):
        save(make)


def test_the_lowest_integer_stays_what_it_is(outputs: Outputs) -> None:
    lowest = -(2**31)

    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        x = builder.input("x", [1], "int64")
        return {"y": builder.where(builder.equal(x, x), constant(builder, lowest, dtype=np.int64), x)}

    assert outputs(make, {"x": np.array([5])})["y"] == lowest


def test_constants_cannot_be_written_to(context: webnn.MLContext) -> None:
    array = np.linspace(-1, 1, 32, dtype=np.float32)
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.relu(builder.constant(array))})._graph
    with Program(graph) as found:
        value = found[graph.constants[0]]
        assert not value.val.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            found._builder.thresholded_relu(x=value, alpha=0.5)
    np.testing.assert_array_equal(array, np.linspace(-1, 1, 32, dtype=np.float32))


# Operators.


def test_scatters_replace_and_do_not_add(outputs: Outputs) -> None:
    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        x, updates = x_of(builder), builder.constant(np.array([[7.0]], np.float32))
        place = builder.constant(np.array([[-1]], np.int64))
        pair = builder.constant(np.array([[0, 1]], np.int32))
        return {
            "elements": builder.scatter_elements(x, place, updates, axis=1),
            "nd": builder.scatter_nd(x, pair, constant(builder, 9)),
        }

    found = outputs(make, {"x": X})
    np.testing.assert_array_equal(found["elements"], [[1.5, -2, 7]])
    np.testing.assert_array_equal(found["nd"], [[1.5, 9, 41]])


@pytest.mark.parametrize(
    "shapes", [([4, 1, 3], [1, 3], [1]), ([1, 3], [1], [4, 1, 1]), ([2, 1], [], []), ([], [3], [2, 1])]
)
def test_a_condition_of_more_dimensions_than_the_values_is_broadcast(shapes: Any, outputs: Outputs) -> None:
    rng = np.random.default_rng(0)
    feeds: dict[str, Array] = {
        "c": np.asarray(rng.integers(0, 2, shapes[0]), np.uint8),
        "a": np.asarray(rng.random(shapes[1]), np.float32),
        "b": np.asarray(rng.random(shapes[2]), np.float32),
    }

    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        return {"y": builder.where(*(builder.input(n, a.shape, a.dtype.name) for n, a in feeds.items()))}

    np.testing.assert_array_equal(outputs(make, feeds)["y"], np.where(feeds["c"], feeds["a"], feeds["b"]))


@pytest.mark.parametrize("given", ["constant", "input"])
def test_indices_are_counted_from_the_end_and_clamped(given: str, outputs: Outputs) -> None:
    indices = {"gather": [-1, -3, 5], "elements": [[-3, -1, 9]], "nd": [[0, -1], [-1, 7]]}
    feeds = {name: np.array(array, np.int32) for name, array in indices.items()}

    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        def places(name: str) -> webnn.MLOperand:
            array = feeds[name]
            return builder.constant(array) if given == "constant" else builder.input(name, array.shape, "int32")

        x = x_of(builder)
        return {
            "gather": builder.gather(x, places("gather"), axis=1),
            "elements": builder.gather_elements(x, places("elements"), axis=1),
            "nd": builder.gather_nd(x, places("nd")),
        }

    found = outputs(make, {"x": X, **feeds})
    np.testing.assert_array_equal(found["gather"], [[41, 1.5, 41]])
    np.testing.assert_array_equal(found["elements"], [[1.5, 41, 41]])
    np.testing.assert_array_equal(found["nd"], [41, 41])


@pytest.mark.parametrize("data_type", ["int32", "int8", "uint8"])
def test_integers_are_padded_bounded_and_pooled(
    data_type: DataType, outputs: Outputs, context: webnn.MLContext
) -> None:
    x = np.arange(16).reshape(1, 1, 4, 4).astype(data_type)

    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        operand = builder.input("x", x.shape, data_type)
        results = {mode: builder.pad(operand, [0, 0, 1, 2], [0, 1, 0, 3], mode=mode) for mode in ("constant", "edge")}
        results["reflection"] = builder.pad(operand, [0, 0, 1, 2], [0, 0, 0, 3], mode="reflection")
        results["clamp"] = builder.clamp(operand, min_value=3, max_value=9)
        results["pool"] = builder.max_pool2d(operand, window_dimensions=[2, 2], padding=[1, 0, 1, 0])
        results["sum"] = builder.add(operand, builder.constant(np.full([1], 120, data_type)))
        return results

    builder = context.create_graph_builder()
    expected = context.compute(builder.build(make(builder)), {"x": x})
    for name, found in outputs(make, {"x": x}).items():
        np.testing.assert_array_equal(found, expected[name], err_msg=name)


@pytest.mark.parametrize("data_type", ["uint32", "uint64"])
def test_types_that_core_ml_lacks_are_refused(data_type: DataType, save: Save) -> None:
    with pytest.raises(NotSupportedError, match=rf"input 'x' is {data_type}"):
        save(lambda builder: {"y": builder.identity(builder.input("x", [2], data_type))})
    with pytest.raises(NotSupportedError, match=rf"\[wide\] cast: .* no {data_type}"):
        save(lambda builder: {"y": builder.cast(x_of(builder), data_type, label="wide")})


def test_integers_of_64_bits_are_refused_where_they_may_outgrow_32(save: Save) -> None:
    with pytest.raises(NotSupportedError, match=r"add: .*int64 in 32 bits"):
        save(lambda builder: {"y": builder.add(*(builder.input(name, [2], "int64") for name in "ab"))})
    with pytest.raises(NotSupportedError, match=r"cast: .*int64 in 32 bits"):
        save(lambda builder: {"y": builder.cast(x_of(builder), "int64")})


def test_more_than_five_dimensions_are_refused(save: Save) -> None:
    with pytest.raises(NotSupportedError, match=r"up to 5 dimensions, input 'x' is \[1, 1, 1, 1, 1, 2\]"):
        save(lambda builder: {"y": builder.relu(builder.input("x", [1, 1, 1, 1, 1, 2], "float32"))})
    with pytest.raises(NotSupportedError, match=r"reshape: .* up to 5 dimensions, got \[1, 1, 1, 1, 1, 3\]"):
        save(lambda builder: {"y": builder.relu(builder.reshape(x_of(builder), [1, 1, 1, 1, 1, 3]))})


def test_scalars_come_and_go_with_one_dimension(outputs: Outputs, save: Save) -> None:
    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        return {"y": builder.add(builder.input("x", [], "float32"), builder.constant(np.array(2, np.float32)))}

    assert outputs(make, {"x": np.array(3, np.float32)})["y"] == 5
    (feature,) = save(make).spec.description.output
    assert list(feature.type.multiArrayType.shape) == [1]


@pytest.mark.parametrize("axes", [[1], [0]])
def test_layer_normalization_with_a_bias_alone(axes: list[int], outputs: Outputs, context: webnn.MLContext) -> None:
    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        bias = constant(builder, *range(1, 1 + (3 if axes == [1] else 1)))
        return {"y": builder.layer_normalization(x_of(builder), bias=bias, axes=axes)}

    builder = context.create_graph_builder()
    expected = context.compute(builder.build(make(builder)), {"x": X})["y"]
    np.testing.assert_allclose(outputs(make, {"x": X})["y"], expected, rtol=1e-5)


def test_exclusive_sums_of_constants(outputs: Outputs) -> None:
    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        sums = builder.cumulative_sum(constant(builder, 1, 2, 4), 0, exclusive=True)
        return {"y": builder.add(x_of(builder), sums)}

    np.testing.assert_array_equal(outputs(make, {"x": np.zeros((1, 3), np.float32)})["y"], [[0, 1, 3]])


def test_the_logarithm_of_0_and_the_reciprocal_of_0_are_infinite(outputs: Outputs) -> None:
    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        x = x_of(builder)
        return {"log": builder.log(x), "reciprocal": builder.reciprocal(x)}

    found = outputs(make, {"x": np.zeros((1, 3), np.float32)})
    assert np.isneginf(found["log"]).all()
    assert np.isposinf(found["reciprocal"]).all()


# Outputs and names.


def test_an_input_may_be_an_output_and_an_output_may_have_two_names(outputs: Outputs, save: Save) -> None:
    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        x = x_of(builder)
        y = builder.relu(x)
        return {"same": builder.identity(x), "y": y, "again": y, "three": builder.identity(constant(builder, 3))}

    save(make)
    found = outputs(make, {"x": X})
    np.testing.assert_array_equal(found["same"], X)
    np.testing.assert_array_equal(found["y"], found["again"])
    assert found["three"] == 3


def test_sizes_of_0_never_come_as_far_as_saving(context: webnn.MLContext) -> None:
    with pytest.raises(ValidationError, match="shape"):
        context.create_graph_builder().input("x", [0, 3], "float32")


def test_names_are_kept_or_told(outputs: Outputs, save: Save) -> None:
    names = ["v1_relu", "a/b", "a.b", "größe", "x", "3"]

    def make(builder: Builder) -> Mapping[str, webnn.MLOperand]:
        return {
            "x": builder.add(*(builder.relu(builder.input(name, [2], "float32")) for name in names[:2])),
            **{f"{name}!": builder.relu(builder.input(name, [2], "float32")) for name in names[2:]},
        }

    package = save(make)
    told = json.loads(package.spec.description.metadata.userDefined["webnn.inputs"])
    assert told["v1_relu"] == ["v1_relu", "float32", [2]]
    assert {name: row[0] for name, row in told.items()}["a/b"] == "a_b"
    features = {feature.name for feature in package.spec.description.input}
    assert features == {row[0] for row in told.values()}
    assert len(features) == len(names)
    found = outputs(make, {name: np.full(2, i, np.float32) for i, name in enumerate(names)})
    assert found["x"].tolist() == [1, 1]
    assert found["3!"].tolist() == [5, 5]


def test_a_package_replaces_one_of_its_name(save: Save) -> None:
    first = save(quotients)
    assert "real_div" in operations(first)
    second = save(masked)
    assert "real_div" not in operations(second)
    assert [path.name for path in second.path.parent.iterdir()] == ["model.mlpackage"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            lambda program, x: [program.emit("relu", x=x, name="same") for _ in range(2)],
            "several values are called same",
        ),
        (lambda program, x: program.emit("relu", x=x, name="x"), "several values are called x"),
        (lambda program, x: program.cast(x, "fp16"), "is float16, but the graph is not"),
        (lambda program, x: program.emit("expand_dims", x=x, axes=[0, 1, 2, 3]), r"has the shape \(1, 1, 1, 1, 1, 3\)"),
    ],
)
def test_a_fault_of_a_lowering_is_seen_before_it_is_written(
    fault: Callable[[Program, Any], object], message: str, context: webnn.MLContext
) -> None:
    builder = context.create_graph_builder()
    graph = builder.build(quotients(builder))._graph
    with Program(graph) as found:
        lower(found)
        fault(found, found[graph.inputs["x"]])
        with pytest.raises(AssertionError, match=message):
            check_structure(found, found.finish())


def test_a_folder_that_is_no_package_is_not_replaced(save: Save, tmp_path: Path) -> None:
    (tmp_path / "model.mlpackage").mkdir()
    (tmp_path / "model.mlpackage" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"and not an \.mlpackage"):
        save(quotients)
    assert (tmp_path / "model.mlpackage" / "notes.txt").read_text() == "mine"


def test_the_command_converts_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = layer(tmp_path)
    words = ["convert", str(model), str(tmp_path / "y.mlpackage"), "--shape", "batch=2"]
    assert main(words) == 0
    assert "y.mlpackage" in capsys.readouterr().out.replace("\n", "")
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    found = outputs_of_package(read_package(tmp_path / "y.mlpackage"), {"x": x})["y"]
    np.testing.assert_allclose(found, np.maximum(x @ WEIGHT, 0), rtol=1e-5)
    assert main(words) != 0
    assert main([*words, "--force"]) == 0


def test_what_cannot_be_saved_leaves_nothing(save: Save, tmp_path: Path) -> None:
    with pytest.raises(NotSupportedError):
        save(lambda builder: {"y": builder.identity(builder.input("x", [2], "uint64"))})
    assert list(tmp_path.iterdir()) == []


# The backend.


def test_the_limits_leave_out_what_is_refused() -> None:
    table = CoreMLBackend().support_limits()
    assert set(table["add"]["a"].types) == {"float32", "float16", "int32", "int8", "uint8"}
    assert set(table["gather"]["indices"].types) == {"int32", "int64"}
    assert table["transpose"]["input"].ranks == (0, 5)
    assert all(
        not {"uint32", "uint64"} & {*row.types} and row.ranks[1] <= 5
        for rows in table.values()
        for row in rows.values()
    )


@pytest.mark.parametrize(
    ("power", "accelerated", "units"),
    [
        ("default", True, "ALL"),
        ("low-power", True, "CPU_AND_NE"),
        ("high-performance", True, "CPU_AND_GPU"),
        ("low-power", False, "CPU_ONLY"),
    ],
)
def test_preferences_choose_the_compute_units(power: PowerPreference, accelerated: bool, units: str) -> None:
    backend = CoreMLBackend()
    options = backend.preferred_options(power, accelerated)
    assert options == {"compute_units": units}
    backend.check_options(options)
    assert (backend.device(options).type == "cpu") is not accelerated


def test_unknown_compute_units_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"compute_units is one of ALL, .*, got compute_units='GPU'"):
        CoreMLBackend().check_options({"compute_units": "GPU"})


@pytest.mark.skipif(sys.platform == "darwin", reason="this is macOS")
def test_graphs_run_on_macos_only() -> None:
    with pytest.raises(NotSupportedError, match=r"runs graphs on macOS only; graph\.save\('model\.mlpackage'\)"):
        webnn.create_context(backend="coreml")
