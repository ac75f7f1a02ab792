"""Single nodes with shapes and options that the standard's own tests lack, compared with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.direct import direct_builder
from tests.onnx_nodes import Array, Fixed, Given, by_onnxruntime, by_reference, check_node, computed, node_model, random
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import DataError, NotSupportedError
from webnn.formats.onnx import import_onnx


def fixed(*numbers: int) -> Fixed:
    return Fixed(np.array(numbers, np.int64))


IMAGE = random(0, 2, 4, 7, 9)


@pytest.mark.parametrize("version", [7, 13])
@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax_before_version_13_is_over_all_axes_from_its_axis_on(
    backend: Backend, op_type: str, axis: int, version: int
) -> None:
    check_node(backend, op_type, [random(0, 2, 3, 4)], version=version, axis=axis)


@pytest.mark.parametrize(
    ("op_type", "options"),
    [
        ("Gelu", {"approximate": "tanh", "version": 20}),
        ("Shrink", {"lambd": 0.7, "bias": 0.2}),
        ("ThresholdedRelu", {"alpha": 0.3}),
        ("Celu", {"alpha": 2.0}),
        ("Selu", {}),
        ("Mish", {}),
        ("HardSwish", {}),
        ("Clip", {"min": -0.5, "max": 0.25, "version": 8}),
        ("Asinh", {}),
        ("Atanh", {}),
        ("Cosh", {}),
        ("Round", {}),
    ],
)
def test_activations_take_their_parameters(backend: Backend, op_type: str, options: dict[str, Any]) -> None:
    check_node(backend, op_type, [np.clip(random(0, 3, 5), -0.9, 0.9)], **options)


@pytest.mark.parametrize("options", [{}, {"lambd": 0.25, "bias": 0.25}, {"lambd": -0.5, "bias": 0.125}])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_numbers_near_0_shrink_to_it(backend: Backend, dtype: Any, options: dict[str, Any]) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 0.25, -0.25, 0.5, -0.5, 0.75, -0.75, 1e-7, 3], dtype)
    model, feeds = node_model("Shrink", [x], **options)
    for kept in ((), backend.composites):
        np.testing.assert_array_equal(computed(model, feeds, backend, kept), by_onnxruntime(model, feeds))


@pytest.mark.parametrize("op_type", ["Asin", "Acos", "Atan"])
def test_arcs_are_exact_where_they_begin_and_end(backend: Backend, op_type: str) -> None:
    x = np.linspace(-1, 1, 2001, dtype=np.float32)
    small = np.float32([0, 1e-30, -1e-8, 1e-3, 1 - 2**-24, -1 + 2**-24])
    x = np.concatenate([x, small, np.float32([100, -3, np.inf, -np.inf, 2.5]) if op_type == "Atan" else small])
    (result,) = computed(*node_model(op_type, [x]), backend)
    with np.errstate(all="ignore"):
        wanted = getattr(np, {"Asin": "arcsin", "Acos": "arccos", "Atan": "arctan"}[op_type])(x.astype(np.float64))
    np.testing.assert_allclose(result, wanted, rtol=5e-7, atol=2e-7 if op_type == "Acos" else 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("op_type", ["Sinh", "Cosh", "Asinh", "Acosh", "Atanh"])
def test_hyperbolic_functions_keep_their_digits_near_0_and_at_the_ends_of_the_range(
    backend: Backend, op_type: str, dtype: Any
) -> None:
    sizes = np.concatenate([np.logspace(-30, 38, 600), np.linspace(0, 89, 200), [1 - 2**-10, 1 + 2**-10, np.inf]])
    with np.errstate(over="ignore"):
        x = np.concatenate([-sizes, sizes]).astype(dtype)
    x = x[np.abs(x) <= 1] if op_type == "Atanh" else x[x >= 1] if op_type == "Acosh" else x
    (result,) = computed(*node_model(op_type, [x]), backend)
    with np.errstate(all="ignore"):
        function = {"Asinh": "arcsinh", "Acosh": "arccosh", "Atanh": "arctanh"}.get(op_type, op_type.lower())
        wanted = getattr(np, function)(x.astype(np.float64)).astype(dtype)
    small = np.finfo(dtype).tiny
    np.testing.assert_allclose(result, wanted, rtol=2e-6 if dtype is np.float32 else 1e-3, atol=small)


@pytest.mark.parametrize(
    ("op_type", "numbers", "wanted"),
    [
        ("LogSoftmax", np.float32([0, 200]), [-200, 0]),
        ("ReduceL2", np.float32([1e30, 1e30]), 1.4142135e30),
        ("ReduceL2", np.float32([3e-30, 4e-30]), 5e-30),
        ("ReduceLogSumExp", np.float32([-1000, -1000]), -999.30685),
        ("ReduceLogSumExp", np.float32([-np.inf, -np.inf]), -np.inf),
        ("ReduceSumSquare", np.int32([3, 4]), 25),
        ("ReduceL1", np.int32([3, -4]), 7),
        ("ReduceSum", np.ones((5000, 2), np.float16), 10000),
        ("ReduceSumSquare", np.ones((5000, 2), np.float16), 10000),
        ("CumSum", np.ones(3000, np.float16), np.arange(1, 3001)),
        ("Gelu", np.float16([-2.5]), [-0.015524]),
    ],
)
def test_constants_that_are_folded_are_as_exact_as_in_a_run(
    backend: Backend, op_type: str, numbers: Array, wanted: Any
) -> None:
    options = {"keepdims": 0} if op_type.startswith("Reduce") else {}
    axis = [Fixed(np.array(0))] if op_type == "CumSum" else []
    for given in (Fixed(numbers), numbers):
        (result,) = computed(*node_model(op_type, [given, *axis], version=20, **options), backend)
        assert result.dtype == numbers.dtype
        np.testing.assert_allclose(result, wanted, rtol=1e-6 if numbers.dtype != np.float16 else 1e-3)


@pytest.mark.parametrize("alpha", [-0.5, -2.0, 0.5, 2.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_celu_takes_any_alpha(backend: Backend, dtype: Any, alpha: float) -> None:
    x = np.concatenate([np.linspace(-2.5, 2.5, 21), [-1e-6, 0.0, 1e-6]]).astype(dtype)
    (result,) = computed(*node_model("Celu", [x], alpha=alpha, version=12), backend)
    wide = x.astype(np.float64)
    wanted = np.maximum(wide, 0) + np.minimum(alpha * np.expm1(wide / alpha), 0)
    np.testing.assert_allclose(result, wanted, rtol=2e-6 if dtype is np.float32 else 2e-3, atol=1e-7)


@pytest.mark.parametrize("version", [7, 10, 12, 13])
def test_masks_of_dropout_are_those_of_onnxruntime(backend: Backend, version: int) -> None:
    x = random(0, 2, 3)
    model, feeds = node_model("Dropout", [x], outputs=(True, True), version=version)
    results, wanted = computed(model, feeds, backend), by_onnxruntime(model, feeds)
    np.testing.assert_array_equal(results[0], x)
    assert results[1].dtype == (np.float32 if version < 10 else np.uint8)
    np.testing.assert_array_equal(results[1], wanted[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_fractions_among_indices_are_rounded_toward_zero(backend: Backend, dtype: Any) -> None:
    indices = np.array([-0.75, 0.5, -2.25, 1.0, 1.5], dtype)
    for given in (Fixed(indices), indices):
        model, feeds = node_model("OneHot", [given, fixed(2), Fixed(np.float32([0, 1]))])
        (result,) = computed(model, feeds, backend)
        np.testing.assert_array_equal(result, np.eye(2)[[0, 0, 0, 1, 1]])


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
def test_a_scalar_is_its_own_largest_and_smallest_element(backend: Backend, op_type: str) -> None:
    check_node(backend, op_type, [np.array(3, np.float32)], version=10)


@pytest.mark.parametrize("op_type", ["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64])
def test_bits_of_integers_that_broadcast(backend: Backend, op_type: str, dtype: Any) -> None:
    bounds = np.iinfo(dtype)
    edges = np.array([0, 1, bounds.min, bounds.max], dtype)
    x, y = np.concatenate([random(0, 20, dtype=dtype), edges]), random(1, 3, 24, dtype=dtype)
    check_node(backend, op_type, [x, y], tolerance=0)
    check_node(backend, op_type, [edges, Fixed(edges[:, None])], tolerance=0)
    check_node(backend, op_type, [edges, x[:4].reshape([1] * 7 + [4])], tolerance=0)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions_over_one_to_three_axes(backend: Backend, auto_pad: str, rank: int) -> None:
    x = random(0, 1, 4, *(7, 6, 5)[:rank])
    filters, bias = random(1, 6, 2, *(3, 2, 2)[:rank]), random(2, 6)
    pads = {"pads": [1, 0, 2][:rank] + [0, 1, 1][:rank]} if auto_pad == "NOTSET" else {"auto_pad": auto_pad}
    strides = [2, 1, 2][:rank]
    check_node(backend, "Conv", [x, Fixed(filters), Fixed(bias)], group=2, strides=strides, **pads)


@pytest.mark.parametrize("kernel", [(1, 1, 1), (3, 1, 1), (1, 1, 3), (1, 3, 3)])
@pytest.mark.parametrize("group", [1, 2])
def test_windows_of_single_elements_along_some_axes(backend: Backend, kernel: tuple[int, ...], group: int) -> None:
    """Convolutions of single voxels, over time alone, and over the images of a film."""
    x, filters = random(0, 2, 4, 5, 6, 7), random(1, 6, 4 // group, *kernel)
    many = [int(size > 1) for size in kernel]
    for step in (1, 2):
        strides = [1 + is_many * (step - 1) for is_many in many]
        dilations = [1 + is_many * (2 - step) for is_many in many]
        options = {"strides": strides, "dilations": dilations, "pads": [*many, *(2 * each for each in many)]}
        check_node(backend, "Conv", [x, Fixed(filters), Fixed(random(2, 6))], group=group, **options)
        check_node(backend, "Conv", [x, filters], group=group, strides=strides, auto_pad="SAME_LOWER")


@pytest.mark.parametrize("rank", [1, 3])
def test_filters_over_other_axes_are_reshaped_during_the_import(rank: int) -> None:
    filters = random(1, 6, 4, *(3, 2, 2)[:rank])
    model, _ = node_model("Conv", [random(0, 1, 4, 7, *[5] * (rank - 1)), Fixed(filters)])
    builder = direct_builder()
    nodes = builder.build(import_onnx(model, builder)).nodes
    assert [node["filter"].constant is not None for node in nodes if node.op == "conv2d"] == [True]


def test_the_gelu_by_tanh_is_written_such_that_onnxruntime_fuses_it(tmp_path: Path) -> None:
    model, _ = node_model("Gelu", [random(0, 2, 3)], approximate="tanh")
    builder = direct_builder()
    (y,) = import_onnx(model, builder).values()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "m.onnx")
    written = lower(builder.build({"y": builder.neg(y)})).finish()
    onnxruntime.InferenceSession(written.SerializeToString(), options)
    assert [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node] == ["FastGelu", "Neg"]


@pytest.mark.parametrize(
    "options",
    [
        {"strides": [2, 3], "output_padding": [1, 2], "pads": [1, 0, 0, 1]},
        {"strides": [2, 2], "output_shape": [13, 18]},
        {"strides": [2, 3], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
        {"dilations": [2, 1], "group": 2},
    ],
)
def test_transposed_convolutions_take_strides_padding_and_dilations(backend: Backend, options: dict[str, Any]) -> None:
    check_node(
        backend,
        "ConvTranspose",
        [IMAGE, Fixed(random(1, 4, 3, 3, 3)), random(2, 3 * options.get("group", 1))],
        **options,
    )


def test_transposed_convolutions_over_one_axis(backend: Backend) -> None:
    check_node(backend, "ConvTranspose", [random(0, 1, 4, 7), Fixed(random(1, 4, 3, 3))], strides=[2], pads=[1, 0])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strides": [2, 3, 1], "dilations": [2, 1, 1], "output_padding": [1, 2, 0]},
        {"strides": [2, 1, 2], "pads": [1, 0, 1, 1, 1, 0], "group": 2},
        {"strides": [2, 2, 2], "output_shape": [9, 7, 10]},
        {"strides": [3, 2, 1], "auto_pad": "SAME_UPPER"},
    ],
)
def test_transposed_convolutions_over_three_axes(backend: Backend, options: dict[str, Any]) -> None:
    x, filters = random(0, 2, 4, 4, 3, 5), random(1, 4, 3, 3, 2, 3)
    check_node(backend, "ConvTranspose", [x, Fixed(filters), random(2, 3 * options.get("group", 1))], **options)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [{}, {"ceil_mode": 1}, {"auto_pad": "SAME_LOWER"}, {"storage_order": 1}, {"dilations": [2, 1, 2]}],
)
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_where_the_largest_of_a_window_is(backend: Backend, rank: int, options: dict[str, Any], dtype: Any) -> None:
    x = (random(0, 2, 3, *(7, 6, 8)[:rank], dtype=np.int8) % 9 - 20).astype(dtype)
    pads = {} if "auto_pad" in options else {"pads": [1] * (2 * rank)}
    options = {name: value[:rank] if isinstance(value, list) else value for name, value in options.items()}
    if rank == 1:  # where onnxruntime counts by columns, there are none
        options.pop("storage_order", None)
    shape = {"kernel_shape": [2, 3, 2][:rank], "strides": [2, 1, 3][:rank]}
    check_node(backend, "MaxPool", [x], outputs=[True, True], version=12, **shape, **pads, **options)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("left_over", [0, 1])
def test_values_go_back_to_where_the_largest_were(backend: Backend, rank: int, left_over: int) -> None:
    x = random(0, 2, 3, *(size + left_over for size in (8, 6, 4)[:rank]))
    pooled, places = check_node(
        backend, "MaxPool", [x], outputs=[True, True], kernel_shape=[2] * rank, strides=[2] * rank, version=12
    )
    options = {"kernel_shape": [2] * rank, "strides": [2] * rank, "version": 11}
    inputs = [pooled, places, fixed(*x.shape)] if left_over else [pooled, places]
    result = check_node(backend, "MaxUnpool", inputs, **options)[0]
    np.testing.assert_array_equal(result, np.where(np.isin(x, pooled), x, 0))


@pytest.mark.parametrize(
    ("sizes", "kernel", "options"),
    [
        ((5, 7), (2, 3), {}),
        ((6, 5), (3, 2), {"strides": [2, 1], "pads": [1, 0, 1, 1], "dilations": [1, 2]}),
        ((9,), (3,), {"strides": [3], "pads": [0, 0]}),
        ((4, 5, 3), (2, 2, 1), {"pads": [1, 0, 0, 0, 0, 1]}),
    ],
)
def test_blocks_are_summed_to_images(
    backend: Backend, sizes: tuple[int, ...], kernel: tuple[int, ...], options: dict[str, Any]
) -> None:
    axes = len(sizes)
    strides, dilations = options.get("strides", [1] * axes), options.get("dilations", [1] * axes)
    pads = options.get("pads", [0] * (2 * axes))
    rows = zip(sizes, kernel, strides, dilations, pads[:axes], pads[axes:], strict=True)
    count = np.prod([(n + first + last - (k - 1) * d - 1) // s + 1 for n, k, s, d, first, last in rows])
    x = random(0, 2, 3 * int(np.prod(kernel)), int(count))
    check_node(backend, "Col2Im", [x, fixed(*sizes), fixed(*kernel)], version=18, **options)


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"ceil_mode": 1, "version": 19}, {"auto_pad": "SAME_LOWER"}])
def test_poolings_over_one_to_three_axes(backend: Backend, op_type: str, rank: int, options: dict[str, Any]) -> None:
    if op_type == "LpPool" and options:
        options = {}
    x = random(0, 1, 3, *(7, 6, 8)[:rank])
    pads = {} if "auto_pad" in options else {"pads": [1] * (2 * rank)}
    check_node(backend, op_type, [x], kernel_shape=[3] * rank, strides=[2] * rank, **pads, **options)


def test_padding_counts_in_averages_if_asked_to(backend: Backend) -> None:
    check_node(
        backend, "AveragePool", [IMAGE], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2], count_include_pad=1
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    ("op_type", "options"),
    [
        ("MaxPool", {}),
        ("AveragePool", {}),
        ("AveragePool", {"count_include_pad": 1}),
        ("LpPool", {"p": 1}),
        ("LpPool", {"p": 2}),
        ("LpPool", {"p": 3}),
    ],
)
def test_rounding_up_adds_a_window_on_some_axes_only(
    backend: Backend, op_type: str, options: dict[str, Any], rank: int
) -> None:
    """A window that would begin after the end is left out, whatever the other axes do."""
    generator = np.random.default_rng(rank)
    for seed in range(12):
        sizes = [int(size) for size in generator.integers(4, 11, rank)]
        kernel = [int(size) for size in generator.integers(1, 5, rank)]
        windows = {
            "kernel_shape": kernel,
            "strides": [int(step) for step in generator.integers(1, 5, rank)],
            "pads": [int(generator.integers(0, size)) for size in [*kernel, *kernel]],
        }
        check_node(backend, op_type, [random(seed, 1, 2, *sizes)], version=22, ceil_mode=1, **windows, **options)


def test_padding_wraps_around_as_often_as_it_takes(backend: Backend) -> None:
    generator = np.random.default_rng(0)
    for rank in (1, 2, 3):
        for _ in range(8):
            pads = fixed(*generator.integers(0, 11, 2 * rank))
            x = random(0, *generator.integers(1, 5, rank))
            check_node(backend, "Pad", [x, pads], version=19, mode="wrap", tolerance=0)


@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (2, 3, 4, 5, 2)])
def test_global_poolings_are_over_one_to_three_axes(backend: Backend, op_type: str, shape: tuple[int, ...]) -> None:
    check_node(backend, op_type, [random(0, *shape)])


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_is_over_channels_around(backend: Backend, size: int) -> None:
    check_node(backend, "LRN", [IMAGE], size=size, alpha=0.5, beta=0.6, bias=2.0)


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 2, 5)])
def test_instance_normalization_of_any_rank(backend: Backend, shape: tuple[int, ...]) -> None:
    check_node(backend, "InstanceNormalization", [random(0, *shape), random(1, 3), random(2, 3)], epsilon=1e-3)


@pytest.mark.parametrize(
    ("a", "b"), [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 1, 2, 3), (5, 3, 4)), ((3,), (5, 3, 2))]
)
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
def test_products_of_vectors_and_stacks(backend: Backend, a: tuple[int, ...], b: tuple[int, ...], dtype: Any) -> None:
    x, y = (random(i, *shape, dtype=dtype) for i, shape in enumerate((a, b)))
    if dtype != np.float32:
        x, y = x % 1000, y % 1000
    check_node(backend, "MatMul", [x, y])


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]),
        ("bij,bjk", [(2, 3, 4), (2, 4, 5)]),
        ("ii->i", [(3, 3)]),
        ("iji->j", [(3, 2, 3)]),
        ("...ij->...ji", [(2, 3, 4)]),
        ("...i,...i->...", [(2, 3, 4), (3, 4)]),
        ("i,j,k->kij", [(2,), (3,), (4,)]),
        ("ij->", [(2, 3)]),
        ("abc,cd,be->aed", [(2, 3, 4), (4, 5), (3, 2)]),
        ("ij,kj->i", [(2, 3), (4, 3)]),
    ],
)
def test_the_equations_of_einsum_are_computed(backend: Backend, equation: str, shapes: list[tuple[int, ...]]) -> None:
    check_node(
        backend,
        "Einsum",
        [random(i, *shape) for i, shape in enumerate(shapes)],
        equation=equation,
        expected=by_reference,
    )


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ((1, -3), (2**62, -1), (-1, 1), (3, 1)),
        ((-1,), (-(2**63),), (2,), (-2,)),
        ((100,), (-100,), (3,), (-1,)),
        ((2, 1), (3, 3), (0, 1), (1, 1)),
    ],
)
def test_slices_in_both_directions(backend: Backend, starts: Any, ends: Any, axes: Any, steps: Any) -> None:
    x = random(0, 3, 4, 7, 9)
    check_node(backend, "Slice", [x, fixed(*starts), fixed(*ends), fixed(*axes), fixed(*steps)])


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize("pads", [(0, 0, 1, 2, 0, 0, 2, 0), (0, 0, -1, 2, 0, -1, 0, -2)])
def test_pad_in_all_modes_also_cuts_off(backend: Backend, mode: str, pads: tuple[int, ...]) -> None:
    check_node(backend, "Pad", [IMAGE, fixed(*pads)], mode=mode, version=19)


def test_pad_of_some_axes_with_a_value(backend: Backend) -> None:
    check_node(backend, "Pad", [IMAGE, fixed(1, 2), Fixed(np.float32(3.5)), fixed(-1)], version=19)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("target", [(2, 4, 14, 18), (2, 4, 5, 3), (2, 4, 7, 13)])
def test_images_are_resized_in_every_mode_and_coordinate_system(
    backend: Backend, mode: str, coordinates: str, target: tuple[int, ...]
) -> None:
    options = {"mode": mode, "coordinate_transformation_mode": coordinates}
    check_node(backend, "Resize", [IMAGE, None, None, fixed(*target)], version=19, **options)


@pytest.mark.parametrize("nearest", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_resize_to_the_nearest(backend: Backend, nearest: str) -> None:
    scales = Fixed(np.float32([1, 1, 1.7, 0.6]))
    options = {"mode": "nearest", "coordinate_transformation_mode": "half_pixel", "nearest_mode": nearest}
    check_node(backend, "Resize", [IMAGE, None, scales], version=13, **options)


@pytest.mark.parametrize("version", [7, 9])
def test_upsample_takes_its_scales_as_an_attribute_or_an_input(backend: Backend, version: int) -> None:
    scales = [1.0, 1.0, 2.0, 3.0]
    inputs: list[Given] = [IMAGE] if version == 7 else [IMAGE, Fixed(np.float32(scales))]
    check_node(backend, "Upsample", inputs, version=version, **({"scales": scales} if version == 7 else {}))


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.uint8])
@pytest.mark.parametrize("axis", [0, -1])
def test_indices_of_any_type_become_one_hot(backend: Backend, dtype: Any, axis: int) -> None:
    indices = np.array([[0, 2], [1, 7]]).astype(dtype)
    values = np.float32([-1, 5])
    check_node(backend, "OneHot", [indices, Fixed(np.array(4)), values], axis=axis, expected=by_reference)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("depth", [np.int64, np.float32])
def test_known_places_of_an_infinite_value_hide_nothing_else(backend: Backend, depth: Any, axis: int) -> None:
    indices, values = np.array([[0, -1, 1], [2, 7, 2]]), np.array([-np.inf, 0], np.float32)
    check_node(backend, "OneHot", [Fixed(indices), Fixed(np.array(4, depth)), Fixed(values)], axis=axis)
    for dtype in (np.float32, np.uint8):
        given = [Fixed(np.abs(indices).astype(dtype)), Fixed(np.array(4, depth)), Fixed(values)]
        (found,) = computed(*node_model("OneHot", given, axis=axis), backend)
        assert (found == 0).sum() == 5
        assert np.isneginf(found).sum() == 19


@pytest.mark.parametrize("shape", [(3, 3), (2, 5, 5), (2, 2, 1, 1), (1, 20, 20)])
def test_determinants_of_singular_matrices_are_0(backend: Backend, shape: tuple[int, ...]) -> None:
    x = random(0, *shape)
    check_node(backend, "Det", [x])
    x[..., 0, 0] = 0  # no pivot without a change of rows
    check_node(backend, "Det", [x])
    x[..., -1, :] = x[..., 0, :]  # the same row twice, or nothing at all
    check_node(backend, "Det", [x], tolerance=1e-3 if shape[-1] < 20 else 1)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize(("shape", "axis"), [((7,), 0), ((3, 4, 5), -2), ((2, 1), 1)])
def test_products_so_far(  # noqa: PLR0917
    backend: Backend, dtype: Any, exclusive: int, reverse: int, shape: tuple[int, ...], axis: int
) -> None:
    x = (3 * random(0, *shape)).astype(dtype)
    options = {"exclusive": exclusive, "reverse": reverse, "version": 26, "expected": by_reference}
    check_node(backend, "CumProd", [x, Fixed(np.array(axis))], **options)


@pytest.mark.parametrize("pads", [(1, 0, 2, 0), (-1, 2, 1, -2), (0, 0, 0, 0), (-1, 0, -1, 0)])
def test_padding_with_a_number_that_is_computed(backend: Backend, pads: tuple[int, ...]) -> None:
    check_node(backend, "Pad", [random(0, 4, 5), fixed(*pads), np.array(7.5, np.float32)])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_elements_are_gathered_from_a_corner(backend: Backend, axis: int) -> None:
    indices = np.random.default_rng(0).integers(-3, 3, (2, 3, 1))
    check_node(backend, "GatherElements", [random(0, 3, 4, 3), indices], axis=axis)


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
def test_the_last_of_equal_places(backend: Backend, op_type: str) -> None:
    x = np.float32([[2, 2, 1], [1, 1, 1]])
    check_node(backend, op_type, [x], axis=1, select_last_index=1, keepdims=0)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8, np.uint32])
@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders_of_integers(backend: Backend, dtype: Any, fmod: int) -> None:
    x, y = random(0, 40, dtype=dtype), random(1, 40, dtype=dtype)
    check_node(backend, "Mod", [x, np.where(y == 0, 1, y).astype(dtype)], fmod=fmod)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders_of_floats(backend: Backend, dtype: Any, known: bool, fmod: int) -> None:
    """An infinite divisor leaves a number as it is, or as far as that has the divisor's sign."""
    x = np.array([5.5, -5.5, 0, 3, -3, 10_000, np.inf, -np.inf, np.nan], dtype)[:, None]
    for divisors in ([2, -2, 0.25, 1.5, -7], [2, -np.inf, np.inf, np.nan, 0]):
        y: Any = np.array(divisors, dtype)
        expected = by_onnxruntime if fmod else by_reference
        with np.errstate(invalid="ignore"):
            check_node(backend, "Mod", [x, Fixed(y) if known else y], fmod=fmod, expected=expected)


@pytest.mark.parametrize("count", [3, 5, 7])
def test_means_of_several_inputs_are_those_of_onnxruntime_to_the_bit(count: int) -> None:
    model, feeds = node_model("Mean", [random(i, 4, 100) for i in range(count)])
    found = computed(model, feeds, OnnxRuntimeBackend())
    np.testing.assert_array_equal(found, by_onnxruntime(model, feeds))


@pytest.mark.parametrize("axes", [(1,), (-1, 0), ()])
@pytest.mark.parametrize("op_type", ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp"])
def test_reductions_with_axes_as_an_input(backend: Backend, op_type: str, axes: tuple[int, ...]) -> None:
    x = random(0, 2, 3, 4)
    check_node(backend, op_type, [x, fixed(*axes)], keepdims=0, version=18)
    check_node(backend, op_type, [x, fixed(*axes)], noop_with_empty_axes=1, version=18)


EVERY_REDUCTION = {
    "ArgMax", "ArgMin", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
}  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("switch", [0, 1, 2, -1, 1 << 33])
@pytest.mark.parametrize("op_type", sorted(EVERY_REDUCTION))
def test_only_the_number_1_keeps_dimensions(backend: Backend, op_type: str, switch: int, known: bool) -> None:
    x = Fixed(np.abs(random(0, 2, 3))) if known else np.abs(random(0, 2, 3))
    if op_type.startswith("Arg"):
        check_node(backend, op_type, [x], axis=1, keepdims=switch)
        return
    check_node(backend, op_type, [x, fixed(1)], keepdims=switch, version=18)
    check_node(backend, op_type, [x], axes=[1], keepdims=switch, version=11)
    check_node(backend, op_type, [x], noop_with_empty_axes=switch, version=18)


def test_split_gives_uneven_parts(backend: Backend) -> None:
    check_node(backend, "Split", [random(0, 7, 2)], num_outputs=3, outputs=[True] * 3, version=18)
    check_node(backend, "Split", [random(0, 7, 2), fixed(1, 6)], outputs=[True] * 2, version=13)
    check_node(backend, "Split", [random(0, 2, 7)], split=[3, 4], axis=-1, outputs=[True] * 2, version=11)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int8, np.uint8])
def test_integers_shrink_by_a_fraction(backend: Backend, dtype: Any) -> None:
    check_node(backend, "Shrink", [np.arange(8).astype(dtype)], lambd=1.5, bias=0.5, tolerance=0)


@pytest.mark.parametrize("op_type", ["Acos", "Asinh", "Celu", "Hardmax", "LogSoftmax", "Selu", "ThresholdedRelu"])
@pytest.mark.parametrize("dtype", [np.int32, np.uint8])
def test_functions_of_floats_refuse_integers(backend: Backend, op_type: str, dtype: Any) -> None:
    model, feeds = node_model(op_type, [np.ones((2, 2), dtype)])
    for composites in ((), backend.composites):
        with pytest.raises(NotSupportedError, match=f"input is {np.dtype(dtype)}, but must be float32 or float16"):
            computed(model, feeds, backend, composites)


@pytest.mark.parametrize("version", [13, 21])
def test_an_empty_list_of_axes_squeezes_all(backend: Backend, version: int) -> None:
    check_node(backend, "Squeeze", [random(0, 1, 3, 1), Fixed(np.zeros(0, np.int64))], version=version)


def test_reversed_beginnings_of_sequences(backend: Backend) -> None:
    check_node(backend, "ReverseSequence", [random(0, 5, 3, 2), np.array([5, 1, 3])], time_axis=0, batch_axis=1)


@pytest.mark.parametrize(
    ("op_type", "inputs", "options", "message"),
    [
        ("Reshape", [IMAGE, fixed(5, -2)], {}, r"shape \[5, -2\] has a negative dimension"),
        ("Squeeze", [IMAGE, fixed(1)], {}, "must all have the size 1"),
        ("Unsqueeze", [IMAGE, fixed(0, 0)], {}, "repeats an axis"),
        ("Transpose", [IMAGE], {"perm": [0, 1, 2, 9]}, "perm 9 is out of range for 4 dimensions"),
        ("Split", [IMAGE, fixed(1, 2)], {"outputs": [True, True]}, r"cannot be split into \[1, 2\]"),
        ("Expand", [IMAGE, fixed(3, 3)], {}, "does not broadcast with"),
        ("DepthToSpace", [IMAGE], {"blocksize": 3}, "4 channels cannot be divided into blocks of 3 x 3"),
        ("Conv", [IMAGE, random(1, 2, 4, 3, 3)], {"strides": [0, 1]}, "must be at least 1"),
        ("Conv", [IMAGE, random(1, 2, 4, 3, 3)], {"pads": [1]}, "do not fit 2 spatial axes"),
        ("Conv", [IMAGE, random(1, 2, 4, 3, 3)], {"kernel_shape": [2, 2]}, "does not fit the filters"),
        ("ConvTranspose", [IMAGE, random(1, 4, 2, 3, 3)], {"kernel_shape": [2, 2]}, "does not fit the filters"),
        ("MaxPool", [IMAGE], {}, "attribute kernel_shape is missing"),
        ("MaxPool", [IMAGE], {"kernel_shape": 3}, "attribute kernel_shape must be of type INTS"),
        ("MaxPool", [IMAGE], {"kernel_shape": [3, 3], "auto_pad": "SOME"}, "auto_pad must be .*, got 'SOME'"),
        ("Resize", [IMAGE, None, Fixed(np.float32([1, 1, -1, 1]))], {}, "must be above 0"),
        ("Einsum", [IMAGE], {"equation": "ij->i"}, "does not fit input 0 of rank 4"),
        ("Add", [IMAGE], {}, "input 1 is missing"),
    ],
)
def test_invalid_nodes_are_named(op_type: str, inputs: list[Given], options: dict[str, Any], message: str) -> None:
    model, _ = node_model(op_type, inputs, **options)
    with pytest.raises(DataError, match=rf"node output0 \({op_type}\).*{message}"):
        import_onnx(model, direct_builder())


@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("version", [11, 13])
@pytest.mark.parametrize("axis", [1, -1])
def test_what_is_known_is_normalized_over_the_axes_of_its_version(
    backend: Backend, op_type: str, version: int, axis: int
) -> None:
    check_node(backend, op_type, [Fixed(random(0, 2, 3, 4))], version=version, axis=axis)


@pytest.mark.parametrize("switch", [0, 1])
@pytest.mark.parametrize(("shape", "axis"), [((9,), None), ((3, 4), None), ((5, 2), 0), ((2, 6), 1), ((2, 6), -1)])
def test_the_different_slices_of_what_is_known(
    backend: Backend, switch: int, shape: tuple[int, ...], axis: int | None
) -> None:
    x = random(0, *shape, dtype=np.int8) % 2
    options: dict[str, Any] = {} if axis is None else {"axis": axis}
    check_node(backend, "Unique", [Fixed(x)], outputs=[True] * 4, sorted=switch, tolerance=0, **options)


def test_steps_of_a_known_range_are_not_added_up(backend: Backend) -> None:
    """onnxruntime's sum of steps is 0.1 short of the last element."""
    inputs = [Fixed(np.array(number, np.float32)) for number in (0, 1000, 0.1)]
    check_node(backend, "Range", inputs, tolerance=1e-6, expected=by_reference)


def test_nan_is_an_element_of_its_own_among_known_numbers(backend: Backend) -> None:
    """onnxruntime takes it for the number beside it."""
    x = Fixed(np.float32([3, np.nan, 1]))
    check_node(backend, "Unique", [x], outputs=[True] * 4, tolerance=0, expected=by_reference)
