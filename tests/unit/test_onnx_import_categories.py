"""Categories that are numbers, compared with ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.onnx_nodes import Array, by_onnxruntime, check_node, computed, node_model
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import DataError, NotSupportedError, OperationError

ML = "ai.onnx.ml"
LOWEST, HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def checked(backend: Backend, x: Array, version: int, **options: Any) -> None:
    model, feeds = node_model("LabelEncoder", [x], domain=ML, **options)
    model.opset_import[1].version = version
    wanted = by_onnxruntime(model, feeds)
    for kept in ((), backend.composites):
        results = computed(model, feeds, backend, kept)
        np.testing.assert_array_equal(results, wanted)
        assert results[0].dtype == (wanted[0].dtype if wanted[0].dtype != np.float64 else np.float32)


INTEGERS = np.array([[3, 0, -7, 4, 5], [1 << 40, LOWEST, HIGHEST, -1, 2]], np.int64)


@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize(
    "keys",
    [[3, 0, 4], [4], list(range(-8, 6)), [5, 1 << 40, -7], [LOWEST, 3, HIGHEST], [1 << 40, -(1 << 40), 2, 3, 0, -7, 1]],
)
def test_integers_have_values(backend: Backend, keys: list[int], version: int) -> None:
    values = [key % 11 - 5 for key in keys]
    checked(backend, INTEGERS, version, keys_int64s=keys, values_int64s=values, default_int64=77)
    checked(backend, INTEGERS, version, keys_int64s=keys, values_floats=[value / 4 for value in values])


FLOATS = np.array([0.5, -0.0, 0.0, np.nan, np.inf, -np.inf, 3.25, 1e-45, -2.0], np.float32)


@pytest.mark.parametrize("keys", [[0.5], [3.25, -2.0, 0.5, 0.25, 1.0], [float("inf"), 0.0, float("-inf")]])
def test_floats_have_values(backend: Backend, keys: list[float]) -> None:
    values = list(range(10, 10 + len(keys)))
    for version in (2, 4):
        checked(backend, FLOATS, version, keys_floats=keys, values_int64s=values)
        checked(backend, FLOATS, version, keys_floats=keys, values_floats=[float(value) for value in values])
    checked(backend, FLOATS, 4, keys_floats=[*keys, float("nan")], values_int64s=[*values, 5], default_int64=-9)
    checked(backend, FLOATS, 4, keys_floats=[float("nan")], values_int64s=[5])


def test_keys_and_values_may_be_tensors(backend: Backend) -> None:
    def tensor(*numbers: float, dtype: Any) -> Any:
        return numpy_helper.from_array(np.array(numbers, dtype), "tensor")

    integers = {"keys_tensor": tensor(3, 4, 7, dtype=np.int64), "values_tensor": tensor(1, 0, 2, dtype=np.int64)}
    checked(backend, INTEGERS, 4, **integers, default_tensor=tensor(9, dtype=np.int64))
    doubles = {"keys_tensor": tensor(0.5, 3.25, dtype=np.float64), "values_tensor": tensor(1.5, 2, dtype=np.float64)}
    checked(backend, FLOATS.astype(np.float64), 4, **doubles, default_tensor=tensor(-1, dtype=np.float64))


def test_equal_keys_have_the_first_value(backend: Backend) -> None:
    checked(backend, INTEGERS, 2, keys_int64s=[3, 3, 0, 3], values_int64s=[1, 2, 3, 4])


def test_values_of_other_integers_are_computed_by_operators(backend: Backend) -> None:
    keys = numpy_helper.from_array(np.array([3, 4], np.int32), "keys")
    values = numpy_helper.from_array(np.array([-1, 9], np.int32), "values")
    default = numpy_helper.from_array(np.array([5], np.int32), "default")
    x = np.array([3, 4, 5, -7], np.int32)
    model, feeds = node_model(
        "LabelEncoder", [x], domain=ML, keys_tensor=keys, values_tensor=values, default_tensor=default
    )
    for kept in ((), backend.composites):
        found = computed(model, feeds, backend, kept)[0]
        np.testing.assert_array_equal(found, np.array([-1, 9, 5, 5], np.int32))
        assert found.dtype == np.int32


def test_a_category_that_a_file_does_not_know_ends_the_run_if_it_says_so() -> None:
    model, feeds = node_model("OneHotEncoder", [INTEGERS], domain=ML, cats_int64s=[3, 4], zeros=0)
    backend = OnnxRuntimeBackend()
    with pytest.raises(OperationError, match="Unknown Category"):
        computed(model, feeds, backend, backend.composites)
    assert computed(model, feeds, backend)[0].sum() == 2


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
@pytest.mark.parametrize("categories", [[0, 1, 2], [4, -7, 3, HIGHEST]])
def test_categories_become_columns(backend: Backend, dtype: Any, categories: list[int]) -> None:
    x = INTEGERS if dtype is np.int64 else np.array([[0.5, -0.5, 2.9], [-7.5, 4, 1]], np.float32)
    check_node(backend, "OneHotEncoder", [x], domain=ML, cats_int64s=categories)
    check_node(backend, "OneHotEncoder", [x[0]], domain=ML, cats_int64s=categories)
    check_node(backend, "OneHotEncoder", [x[:, :1]], domain=ML, cats_int64s=[int(x[0, 0]), int(x[1, 0])], zeros=0)


@pytest.mark.parametrize(
    ("op_type", "options", "error", "message"),
    [
        ("LabelEncoder", {"keys_int64s": [1], "values_strings": ["a"]}, NotSupportedError, "its values are strings"),
        ("LabelEncoder", {"keys_strings": ["a"], "values_int64s": [1]}, DataError, "its keys are strings"),
        ("LabelEncoder", {"keys_int64s": [1, 2], "values_int64s": [1]}, DataError, "2 keys and 1 values"),
        ("LabelEncoder", {"values_int64s": [1]}, DataError, "it has no keys"),
        ("OneHotEncoder", {"cats_strings": ["a"]}, DataError, "its categories are strings"),
    ],
)
def test_strings_are_refused(
    backend: Backend, op_type: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    model, feeds = node_model(op_type, [INTEGERS], domain=ML, **options)
    with pytest.raises(error, match=message):
        computed(model, feeds, backend)


@pytest.mark.parametrize(
    ("op_type", "nearest"), [("Bernoulli", "an input that is given random numbers"), ("Unique", "outside")]
)
def test_what_has_no_equivalent_is_refused_with_an_alternative(backend: Backend, op_type: str, nearest: str) -> None:
    model, feeds = node_model(op_type, [FLOATS])
    with pytest.raises(NotSupportedError, match=f"nearest: .*{nearest}"):
        computed(model, feeds, backend)


def test_strings_as_inputs_are_refused_with_an_alternative(backend: Backend) -> None:
    given = helper.make_tensor_value_info("s", TensorProto.STRING, [2])
    result = helper.make_tensor_value_info("y", TensorProto.STRING, [2])
    graph = helper.make_graph([helper.make_node("Identity", ["s"], ["y"])], "g", [given], [result])
    with pytest.raises(NotSupportedError, match="no WebNN type holds string; nearest: encode strings as numbers"):
        computed(helper.make_model(graph), {}, backend)
