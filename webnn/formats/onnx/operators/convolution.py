"""Convolutions over one, two or three spatial axes, by WebNN's over two."""

from __future__ import annotations

from typing import Final

from webnn.errors import DataError, NotSupportedError
from webnn.forking import import_lock
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.slice_and_pad import pad_or_crop
from webnn.formats.onnx.patterns.sliding_windows import Windows, pair
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_DEPTH: Final = 1 << 12
"""The largest depth of a transposed convolution over three axes, after striding."""


@imports("Conv")
def conv(node: OnnxNode) -> Imported:
    """A convolution with filters `[output channels, input channels per group, ...]`."""
    return _convolved(node, node.operand(0), node.operand(1), node.optional(2))


def _convolved(node: OnnxNode, x: MLOperand, filters: MLOperand, bias: MLOperand | None) -> MLOperand:
    """The convolution of `x` and `filters` with the attributes of `node`."""
    b, windows = node.builder, _windows(node, "a convolution", x, filters)
    windows.pad_automatically(node.get_string("auto_pad", "NOTSET"))
    groups = node.get_int("group", 1)
    if x.shape[1] != filters.shape[1] * groups or filters.shape[0] % groups:
        raise DataError(f"{x.shape[1]} channels do not fit filters {list(filters.shape)} in {groups} groups")
    joined = _axes_of_single_elements(windows)
    if joined is not None:
        return _over_joined_axes(node, x, filters, bias, windows, joined)
    if min(*windows.before, *windows.after) < 0:  # conv2d takes no negative padding
        before, after = list(windows.before), list(windows.after)
        x = pad_or_crop(b, x, [0, 0, *before], [0, 0, *after])
        windows.sizes = list(x.shape[2:])
        windows.before = windows.after = [0] * len(before)
    if x.rank == 5:
        with import_lock:  # here, since most convolutions are over two axes
            from webnn.graph.composites.conv3d import convolved_volumes  # noqa: PLC0415

        windows.counts(ceil=False)  # which says what does not fit
        pads = [*windows.before, *windows.after]
        try:
            return convolved_volumes(
                b,
                x,
                filters,
                bias,
                strides=windows.strides,
                dilations=windows.dilations,
                pads=pads,
                groups=groups,
            )
        except NotSupportedError as error:
            raise UnsupportedNodeError(str(error).partition(": ")[2], "a convolution over 2 axes") from None
    if x.rank == 3:
        x, filters = b.reshape(x, [*x.shape[:2], 1, x.shape[2]]), _over_two_axes(node, filters)
    result = b.conv2d(
        x,
        filters,
        groups=groups,
        bias=bias,
        **windows.of_images,
    )
    return _over_all_axes(node, result, windows)


def _axes_of_single_elements(windows: Windows) -> int | None:
    """The first of two neighbouring axes, of three, along which the windows are single elements next to each other."""
    if len(windows.kernel) != 3 or min(*windows.before, *windows.after) < 0:
        return None
    rows = zip(windows.kernel, windows.strides, windows.before, windows.after, strict=True)
    single = [row == (1, 1, 0, 0) for row in rows]
    if all(single):
        return None  # runtimes have kernels for these
    return 1 if single[1] and single[2] else 0 if single[0] and single[1] else None


def _over_joined_axes(  # noqa: PLR0917 (the parts of a convolution)
    node: OnnxNode, x: MLOperand, filters: MLOperand, bias: MLOperand | None, windows: Windows, joined: int
) -> MLOperand:
    """A convolution over three axes as one over two, since it treats two of them as one: nothing is moved."""
    b = node.builder
    n, c, d, h, w = x.shape
    shape = [n, c, d, h * w] if joined else [n, c, d * h, w]
    long = 0 if joined else 2  # the axis that the windows are along
    pads, none = [windows.before[long], windows.after[long]], [0, 0]

    def pair(value: int) -> list[int]:
        return [value, 1] if joined else [1, value]

    with import_lock:  # here, since most convolutions are over two axes
        from webnn.formats.onnx.patterns.folded_movement import reshaped  # noqa: PLC0415

    kernel = reshaped(node, filters, [*filters.shape[:2], *pair(windows.kernel[long])])
    result = b.conv2d(
        b.reshape(x, shape),
        kernel,
        padding=[*pads, *none] if joined else [*none, *pads],
        strides=pair(windows.strides[long]),
        dilations=pair(windows.dilations[long]),
        groups=node.get_int("group", 1),
        bias=bias,
    )
    return b.reshape(result, [n, filters.shape[0], *windows.counts(ceil=False)])


def _windows(node: OnnxNode, what: str, x: MLOperand, filters: MLOperand) -> Windows:
    if x.rank != filters.rank or not 3 <= x.rank <= 5:
        raise UnsupportedNodeError(
            f"{what} of {list(x.shape)} with filters {list(filters.shape)} is not over 1, 2 or 3 spatial axes"
        )
    kernel = node.get_ints("kernel_shape", filters.shape[2:])
    windows = Windows.of(node, x.shape, kernel)
    if tuple(kernel) != filters.shape[2:]:
        raise DataError(f"kernel_shape {kernel} does not fit the filters {list(filters.shape)}")
    return windows


def _over_two_axes(node: OnnxNode, filters: MLOperand) -> MLOperand:
    """Filters over one axis as filters over two. A dequantize_linear stays last, since runtimes fuse it."""
    with import_lock:  # here, since most convolutions are over two axes
        from webnn.formats.onnx.patterns.folded_movement import reshaped  # noqa: PLC0415

    def reshape(x: MLOperand) -> MLOperand:
        return reshaped(node, x, [*x.shape[:2], 1, x.shape[2]])

    made_by = filters.node
    if made_by is None or made_by.op != "dequantize_linear" or made_by["input"].constant is None:
        return reshape(filters)
    integers, scale, zero_point = (reshape(made_by[name]) for name in ("input", "scale", "zero_point"))
    return node.builder.dequantize_linear(integers, scale, zero_point)


def _over_all_axes(node: OnnxNode, y: MLOperand, windows: Windows) -> MLOperand:
    """The result over two axes, reshaped to a single one if there was one."""
    return node.builder.reshape(y, [*y.shape[:2], y.shape[3]]) if len(windows.kernel) == 1 else y


@imports("ConvTranspose")
def conv_transpose(node: OnnxNode) -> Imported:
    """A transposed convolution with filters `[input channels, output channels per group, ...]`."""
    b, x, filters = node.builder, node.operand(0), node.operand(1)
    windows = _windows(node, "a transposed convolution", x, filters)
    extra = _pad_transposed(node, windows)
    count = None
    if x.rank == 5:
        x, filters, count = _transposed_depths_as_images(node, x, filters, windows, max(extra[0], 0))
    elif x.rank == 3:
        x, filters = b.reshape(x, [*x.shape[:2], 1, x.shape[2]]), _over_two_axes(node, filters)
    result = b.conv_transpose2d(
        x,
        filters,
        output_padding=pair([max(more, 0) for more in extra], 0),
        groups=node.get_int("group", 1),
        bias=node.optional(2),
        **windows.of_images,
    )
    if count is None:
        result = _over_all_axes(node, result, windows)
    else:
        with import_lock:  # here, since most convolutions are over two axes
            from webnn.graph.composites.conv3d import volumes_of_images  # noqa: PLC0415

        result = volumes_of_images(b, result, count)
    if min(extra) >= 0:
        return result
    return pad_or_crop(b, result, [0] * result.rank, [0, 0, *(min(more, 0) for more in extra)])


def _pad_transposed(node: OnnxNode, windows: Windows) -> list[int]:
    """Set the padding of `windows`; gives the elements to add at the end of each output axis, or to remove."""
    count = len(windows.kernel)
    extra = node.get_ints("output_padding", [0] * count)
    if len(extra) != count:
        raise DataError(f"output_padding {extra} must have {count} numbers")
    auto_pad = node.get_string("auto_pad", "NOTSET")
    rows = zip(windows.sizes, windows.strides, windows.spans, strict=True)
    full = [(size - 1) * stride + span for size, stride, span in rows]
    wanted = node.find_ints("output_shape")
    if wanted is None and auto_pad.startswith("SAME"):
        wanted = [size * stride for size, stride in zip(windows.sizes, windows.strides, strict=True)]
    if wanted is not None:
        wanted = wanted[-count:]
        totals = [size + more - want for size, more, want in zip(full, extra, wanted, strict=True)]
        windows.share_padding([max(total, 0) for total in totals], lower=auto_pad != "SAME_UPPER")
        extra = [more - min(total, 0) for more, total in zip(extra, totals, strict=True)]
    else:
        windows.pad_automatically(auto_pad)
    adds_more = any(more >= stride for more, stride in zip(extra, windows.strides, strict=True))
    if min(*windows.before, *windows.after) < 0 or adds_more:
        raise UnsupportedNodeError(
            f"padding {[*windows.before, *windows.after]} and output_padding {extra} extend the output by more than the"
            " strides",
            "Pad after the transposed convolution",
        )
    return extra


def _transposed_depths_as_images(
    node: OnnxNode, x: MLOperand, filters: MLOperand, windows: Windows, extra: int
) -> tuple[MLOperand, MLOperand, int]:
    """A transposed convolution over depth, height and width as one over height and width.

    Along the depth it is a convolution with reversed filters, over the input with zeros between its layers.
    """
    with import_lock:  # here, since most convolutions are over two axes
        from webnn.graph.composites.conv3d import depths_as_images  # noqa: PLC0415

    b = node.builder
    n, c, depth, h, w = x.shape
    stride, span = windows.strides[0], windows.spans[0]
    if depth * stride > _DEPTH:
        raise UnsupportedNodeError(
            f"its depth of {depth} times its stride of {stride} is above {_DEPTH}", "a convolution over 2 axes"
        )
    if stride > 1:
        layers = b.pad(b.reshape(x, [n, c, depth, 1, h * w]), [0] * 5, [0, 0, 0, stride - 1, 0])
        x = b.reshape(layers, [n, c, depth * stride, h, w])
    after = span - 1 - windows.after[0] + extra - (stride - 1)
    x = pad_or_crop(b, x, [0, 0, span - 1 - windows.before[0], 0, 0], [0, 0, after, 0, 0])
    kernel, dilation = windows.kernel[0], windows.dilations[0]
    backwards = b.transpose(b.reverse(filters, axes=[2]), permutation=[0, 2, 1, 3, 4])
    count = x.shape[2] - span + 1
    try:
        images = depths_as_images(b, x, kernel, count, stride=1, dilation=dilation)
    except NotSupportedError as error:
        raise UnsupportedNodeError(str(error).partition(": ")[2], "a convolution over 2 axes") from None
    return images, b.reshape(backwards, [c * kernel, filters.shape[1], *filters.shape[3:]]), count
