"""Operators that interpolate images, compared with ONNX Runtime and the reference evaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder
from tests.onnx_nodes import Fixed, Given, by_onnxruntime, by_reference, check_node, computed, node_model, random
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import DataError
from webnn.formats.onnx import import_onnx
from webnn.formats.onnx.importing.problems import OnnxNotSupportedError

IMAGE = random(0, 2, 3, 5, 7)


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("aligned", [0, 1])
def test_a_grid_reaches_far_outside(backend: Backend, mode: str, padding: str, aligned: int) -> None:
    grid = np.concatenate([random(1, 2, 4, 3, 2), 4 * random(2, 2, 4, 3, 2)], axis=2)
    if padding == "zeros":
        grid[0, 0] = 1e9
    options = {"mode": mode, "padding_mode": padding, "align_corners": aligned, "version": 20}
    check_node(backend, "GridSample", [IMAGE, grid], **options)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_the_first_version_has_other_names(backend: Backend, mode: str) -> None:
    check_node(backend, "GridSample", [IMAGE, random(1, 2, 4, 3, 2)], mode=mode, version=16)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("aligned", [0, 1])
def test_grids_in_volumes(backend: Backend, mode: str, padding: str, aligned: int) -> None:
    x, grid = random(0, 1, 2, 4, 3, 5), 1.3 * random(1, 1, 3, 2, 2, 3)
    check_node(backend, "GridSample", [x, grid], mode=mode, padding_mode=padding, align_corners=aligned, version=20)


def test_an_axis_of_one_element_reflects_to_itself(backend: Backend) -> None:
    x, grid = random(0, 1, 2, 1, 4), np.clip(random(1, 1, 3, 2, 2), -1, 1)
    options = {"padding_mode": "reflection", "align_corners": 1}
    check_node(backend, "GridSample", [x, grid], **options)


def test_halves_are_sampled_at_places_of_single_precision(backend: Backend) -> None:
    x, grid = random(0, 1, 2, 40, 300).astype(np.float16), np.clip(random(1, 1, 3, 4, 2), -1, 1).astype(np.float16)
    wanted = by_reference(*node_model("GridSample", [x.astype(np.float32), grid.astype(np.float32)], version=20))
    check_node(backend, "GridSample", [x, grid], version=20, expected=lambda *_: wanted, tolerance=5e-3)


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("sizes", [[1, 3, 4, 5], [2, 1, 6, 3], [1, 1, 1, 5], [1, 1, 2, 3, 4], [3, 2, 4, 1, 3]])
def test_affine_grids(backend: Backend, aligned: int, sizes: list[int]) -> None:
    axes = len(sizes) - 2
    theta, fixed = random(0, sizes[0], axes, axes + 1), Fixed(np.array(sizes))
    check_node(backend, "AffineGrid", [theta, fixed], align_corners=aligned, version=20, tolerance=1e-5)


@pytest.mark.parametrize(
    ("theta", "sizes"), [([1, 2, 3], [2, 1, 4, 5]), ([1, 2, 3], [1, 1, 0, 5]), ([1, 2, 3], [1, 1, 5])]
)
def test_matrices_that_map_no_grid_are_refused(theta: list[int], sizes: list[int]) -> None:
    model, _ = node_model("AffineGrid", [random(0, *theta), Fixed(np.array(sizes))], version=20)
    with pytest.raises(DataError, match=r"matrices \[1, 2, 3\] do not map grids of"):
        import_onnx(model, direct_builder())


BOXES = np.array([[0, 0, 6, 4], [1.3, 0.2, 3.9, 4.7], [-3, -2, 20, 12], [2, 2, 2.2, 2.1], [7, 5, 9, 9]], np.float32)
IMAGES = Fixed(np.array([0, 1, 1, 0, 0], np.int64))


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("pixel", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("ratio", [0, 1, 3])
def test_regions_are_sampled(backend: Backend, mode: str, pixel: str, ratio: int) -> None:
    options: dict[str, Any] = {"output_height": 2, "output_width": 3, "sampling_ratio": ratio, "spatial_scale": 0.75}
    boxes = Fixed(BOXES) if ratio == 0 else BOXES
    options |= {"coordinate_transformation_mode": pixel, "mode": mode, "version": 16}
    check_node(backend, "RoiAlign", [IMAGE, boxes, IMAGES], **options)


def test_regions_before_version_16_begin_at_whole_pixels(backend: Backend) -> None:
    images = np.array([0, 1, 1, 0, 0], np.int64)
    check_node(backend, "RoiAlign", [IMAGE, BOXES, images], output_height=3, sampling_ratio=2, version=10)


def test_regions_that_are_computed_are_sampled_by_a_kernel_once_for_each_pixel() -> None:
    model, feeds = node_model("RoiAlign", [IMAGE, BOXES, IMAGES], output_height=2, output_width=3, version=16)
    backend = OnnxRuntimeBackend()
    (found,) = computed(model, feeds, backend, backend.composites)
    np.testing.assert_array_equal(found, by_onnxruntime(model, feeds)[0])


def test_regions_that_are_computed_have_no_known_number_of_samples() -> None:
    model, _ = node_model("RoiAlign", [IMAGE, BOXES, IMAGES], version=16)
    with pytest.raises(OnnxNotSupportedError, match=r"rois with sampling_ratio=0.*computed when"):
        import_onnx(model, direct_builder())


@pytest.mark.parametrize("boxes", [[[0, 0, 1e30, 1]], [[0, 0, np.nan, 1]], [[0, 0, 1e8, 1e8]]])
def test_regions_of_any_size_take_no_memory(boxes: Any) -> None:
    model, _ = node_model("RoiAlign", [IMAGE, Fixed(np.array(boxes, np.float32)), Fixed(np.array([0]))], version=16)
    with pytest.raises(OnnxNotSupportedError, match="too many samples"):
        import_onnx(model, direct_builder())


@pytest.mark.parametrize(
    ("options", "groups", "masked"),
    [
        ({}, 1, False),
        ({"pads": [1, 2, 1, 0], "strides": [2, 1]}, 1, True),
        ({"group": 2, "dilations": [1, 2]}, 2, True),
        ({"pads": [1, 1, 1, 1]}, 4, False),
    ],
)
def test_filters_look_at_shifted_places(backend: Backend, options: dict[str, Any], groups: int, masked: bool) -> None:
    x, filters = random(0, 2, 4, 6, 7), random(1, 6, 4 // options.get("group", 1), 3, 2)
    top, left, bottom, right = options.get("pads", [0] * 4)
    strides, dilations = options.get("strides", [1, 1]), options.get("dilations", [1, 1])
    height = (6 + top + bottom - 2 * dilations[0] - 1) // strides[0] + 1
    width = (7 + left + right - dilations[1] - 1) // strides[1] + 1
    offset = 1.5 * random(2, 2, groups * 6 * 2, height, width)
    mask = random(3, 2, groups * 6, height, width) if masked else None
    inputs: list[Given] = [x, filters, offset, random(4, 6), mask] if masked else [x, Fixed(filters), offset]
    options = {**options, "offset_group": groups, "version": 19}
    check_node(backend, "DeformConv", inputs, **options, expected=by_reference)


@pytest.mark.parametrize(
    ("op_type", "inputs", "options"),
    [
        ("GridSample", [IMAGE, random(1, 2, 4, 3, 3)], {}),
        ("GridSample", [IMAGE, random(1, 1, 4, 3, 2)], {}),
        ("GridSample", [IMAGE, random(1, 2, 4, 3, 2)], {"mode": "area"}),
        ("RoiAlign", [IMAGE, BOXES[:, :3], IMAGES], {"sampling_ratio": 1}),
        ("RoiAlign", [IMAGE, BOXES, IMAGES], {"sampling_ratio": 1, "output_height": 0}),
        ("DeformConv", [IMAGE, random(1, 2, 3, 2, 2), random(2, 2, 8, 4, 5)], {}),
    ],
)
def test_shapes_that_do_not_go_together_are_refused(op_type: str, inputs: list[Any], options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=rf"\({op_type}\)"):
        import_onnx(node_model(op_type, inputs, version=20, **options)[0], direct_builder())
