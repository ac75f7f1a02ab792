"""Notes: nodes that a browser builds and computes differently, by its own decision or where the specification has none.

A recorded target lists those that hold there. Each has an example whose result differs there from that of the `arrays`
backend: `tests/conformance/chromium` runs it in each recorded browser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np

from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand
from webnn.graph.windows import sweeps
from webnn.targets.breaches import axis_sizes, is_padded, same_padding
from webnn.targets.rules import Example

__all__ = ["NOTES", "NoteRule", "scattered_places"]


@dataclass(frozen=True, slots=True)
class NoteRule:
    """Nodes whose results differ on a target.

    Attributes:
        name: as recorded targets list it.
        operators: the operators that it is about.
        touches: the property that makes them differ, in words that follow the name of the node; None without it.
        difference: how the target's results differ.
        proposal: the nearest form whose results do not.
        example: a graph whose result differs.
    """

    name: str
    operators: tuple[str, ...]
    touches: Callable[[Node], str | None]
    difference: str
    proposal: str
    example: Example


_MOVING: Final = ("concat", "expand", "identity", "pad", "reshape", "slice", "split", "tile", "transpose", "where")
"""Operators that hand infinities on."""


def _constants_behind(operand: MLOperand) -> Iterator[np.ndarray[Any, Any]]:
    """The constants whose values may be found in `operand`, as far as operators only move them."""
    seen: set[int] = set()
    stack = [operand]
    while stack:
        one = stack.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if one.constant is not None:
            yield np.asarray(one.constant)
        elif one.node is not None and one.node.op in _MOVING:
            stack += one.node.inputs()


def _may_hold_infinities(node: Node) -> str | None:
    floats = (array for array in _constants_behind(node["input"]) if array.dtype.kind == "f")
    return "has infinities in its input" if any(not np.isfinite(array).all() for array in floats) else None


def _has_several_scales(node: Node) -> str | None:
    count = node["scale"].descriptor.element_count
    return f"has {count} scales" if count > 1 else None


def scattered_places(node: Node, indices: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A row of coordinates for each update of a scatter, counted from the start and clamped into the range."""
    shape, places = node["input"].shape, indices.astype(np.int64)
    if node.op == "scatter_nd":
        sizes = np.array(shape[: places.shape[-1]])
        places = places.reshape(-1, places.shape[-1])
        return np.clip(np.where(places < 0, places + sizes, places), 0, sizes - 1)
    axis = node.attributes["axis"]
    along = np.clip(np.where(places < 0, places + shape[axis], places), 0, shape[axis] - 1)
    whole = np.stack([along if i == axis else at for i, at in enumerate(np.indices(places.shape))], -1)
    return whole.reshape(-1, len(shape))


def _may_repeat_places(node: Node) -> str | None:
    indices = node["indices"].constant
    if indices is None:
        return "has indices that may repeat"
    places = scattered_places(node, np.asarray(indices))
    return "has indices that repeat" if len(np.unique(places, axis=0)) < len(places) else None


def _has_the_same_padding(node: Node) -> bool:
    """Whether it is padded as LiteRT does it by itself."""
    given = node.attributes
    axes = zip(axis_sizes(node["input"], given["layout"]), given["window_dimensions"], given["strides"], strict=True)
    return list(given["padding"]) == [
        side for size, window, stride in axes for side in same_padding(size, window, stride)
    ]


def _is_pooled_with_padding(node: Node) -> str | None:
    padding = list(node.attributes["padding"])
    return f"has padding {padding}" if any(padding) and not _has_the_same_padding(node) else None


def _is_pooled_with_the_same_padding(node: Node) -> str | None:
    padding = list(node.attributes["padding"])
    return f"has padding {padding}" if any(padding) and _has_the_same_padding(node) else None


def _is_pooled_beyond_its_end(node: Node) -> str | None:
    given = node.attributes
    inputs = axis_sizes(node["input"], given["layout"])
    swept = sweeps(inputs, given["window_dimensions"], given["padding"], given["strides"], given["dilations"])
    sizes = list(given["output_sizes"])
    return f"is rounded up to {sizes}" if sizes != [axis.floor_size for axis in swept] else None


def _is_rounded_up(node: Node) -> str | None:
    asked = node.attributes["output_shape_rounding"] == "ceil"
    return (
        f"{_is_pooled_beyond_its_end(node)} by outputShapeRounding"
        if asked and _is_pooled_beyond_its_end(node)
        else None
    )


def _meets_halves(node: Node) -> str | None:
    if node.attributes["mode"] != "nearest-neighbor":
        return None
    halves = (
        (Fraction(2 * i + 1, 2) * size / result - Fraction(1, 2)) % 1 == Fraction(1, 2)
        for size, result in zip(node["input"].shape, node.output.shape, strict=True)
        if size != result
        for i in range(result)
    )
    return "has coordinates halfway between two values" if any(halves) else None


def _casts_floats_to_integers(node: Node) -> str | None:
    from_float = node["input"].data_type.startswith("float")
    data_type, before = node.output.data_type, node["input"].node
    if not from_float or data_type not in ("int8", "uint8"):
        return None
    if before is not None and before.op == "clamp":
        info = np.iinfo(data_type)
        if before.attributes["min_value"] >= info.min and before.attributes["max_value"] <= info.max:
            return None
    return f"makes {data_type} of floats"


def _divides_by_zero(node: Node) -> str | None:
    divisor = node["b"].constant
    if divisor is None or not node.output.data_type.lstrip("u").startswith("int"):
        return None
    return "has zeros as divisors" if bool((np.asarray(divisor) == 0).any()) else None


def _has_negative_exponents(node: Node) -> str | None:
    exponent = node["b"].constant
    if exponent is None or not node.output.data_type.startswith("int"):
        return None
    return "has negative exponents" if bool((np.asarray(exponent) < 0).any()) else None


def _floats(*numbers: float) -> np.ndarray[Any, Any]:
    return np.array(numbers, np.float32)


def _ints(*numbers: int) -> np.ndarray[Any, Any]:
    return np.array(numbers, np.int32)


def _image(*numbers: float) -> np.ndarray[Any, Any]:
    side = round(len(numbers) ** 0.5)
    return np.array(numbers, np.float32).reshape(1, 1, side, side)


_NOTES: Final = (
    NoteRule(
        "triangular-infinity",
        ("triangular",),
        _may_hold_infinities,
        "gives NaN outside the triangle; the specification says 0",
        "use large finite numbers, such as -1e9 in a mask",
        lambda b, x: b.triangular(b.constant(np.full((2, 2), np.inf, np.float32))),
    ),
    NoteRule(
        "quantize-halves",
        ("quantize_linear",),
        _has_several_scales,
        "rounds halves away from zero; the specification rounds them to even",
        "compose it of div, roundEven, add of the zero point, clamp and cast",
        lambda b, x: b.quantize_linear(
            x(_floats(0.5, 2.5)), b.constant(_floats(1, 1)), b.constant(np.zeros(2, np.int8))
        ),
    ),
    NoteRule(
        "scatter-repeats",
        ("scatter_elements", "scatter_nd"),
        _may_repeat_places,
        "adds up the values at repeated indices; the specification keeps one of them",
        "use indices that do not repeat",
        lambda b, x: b.scatter_nd(x(_floats(0, 0)), b.constant(_ints(0, 0).reshape(2, 1)), x(_floats(1, 2))),
    ),
    NoteRule(
        "max-pool-padding",
        ("max_pool2d",),
        _is_pooled_with_padding,
        "treats padding as zeros; the specification ignores it",
        "pad with the lowest value first",
        lambda b, x: b.max_pool2d(x(_image(-4, -3, -2, -1)), window_dimensions=[2, 2], padding=[1, 0, 1, 0]),
    ),
    NoteRule(
        "average-pool-padding",
        ("average_pool2d",),
        _is_pooled_with_padding,
        "counts padding as zeros; the specification ignores it",
        "pad first, and correct by the share of each window that is inside the input",
        lambda b, x: b.average_pool2d(x(_image(1, 2, 3, 4)), window_dimensions=[2, 2], padding=[1, 0, 1, 0]),
    ),
    NoteRule(
        "l2-pool-padding",
        ("l2_pool2d",),
        _is_pooled_with_the_same_padding,
        "gives values that are too large for windows that overlap padding",
        "pad first",
        lambda b, x: b.l2_pool2d(x(_image(1, 2, 3, 4)), window_dimensions=[2, 2], padding=[0, 1, 0, 1]),
    ),
    NoteRule(
        "pool-beyond-the-end",
        ("average_pool2d", "l2_pool2d", "max_pool2d"),
        _is_pooled_beyond_its_end,
        "treats values beyond the end of the input as zeros",
        "pad first, so that no window reaches beyond the end",
        lambda b, x: b.average_pool2d(
            x(_image(*range(16))), window_dimensions=[3, 3], strides=[2, 2], output_sizes=[2, 2]
        ),
    ),
    NoteRule(
        "pool-rounding",
        ("average_pool2d", "l2_pool2d", "max_pool2d"),
        _is_rounded_up,
        "ignores outputShapeRounding, and rounds down unless outputSizes or the older roundingType is given",
        "give outputSizes",
        lambda b, x: b.max_pool2d(
            x(_image(*range(16))), window_dimensions=[3, 3], strides=[2, 2], output_shape_rounding="ceil"
        ),
    ),
    NoteRule(
        "transposed-convolution-padding-results",
        ("conv_transpose2d",),
        is_padded,
        "gives zeros or shifted values for some paddings",
        "use no padding, and slice the output",
        lambda b, x: b.conv_transpose2d(
            x(np.ones((1, 1, 3, 2), np.float32)), x(np.ones((1, 1, 3, 3), np.float32)), padding=[2, 1, 1, 2]
        ),
    ),
    NoteRule(
        "resample-halves",
        ("resample2d",),
        _meets_halves,
        "takes the larger of two equally near coordinates; the specification takes the smaller",
        "use gather on rows and columns",
        lambda b, x: b.resample2d(x(_image(1, 2, 3, 4)), sizes=[3, 3]),
    ),
    NoteRule(
        "cast-out-of-range",
        ("cast",),
        _casts_floats_to_integers,
        "wraps values that are out of range; other implementations clamp them",
        "clamp first",
        lambda b, x: b.cast(x(_floats(300)), "int8"),
    ),
    NoteRule(
        "integer-division-by-zero",
        ("div",),
        _divides_by_zero,
        "gives only zeros, even where the divisor is not zero",
        "use divisors that are not zero",
        lambda b, x: b.div(x(_ints(7, 2)), b.constant(_ints(2, 0))),
    ),
    NoteRule(
        "integer-negative-exponents",
        ("pow",),
        _has_negative_exponents,
        "gives only zeros, even where the exponent is not negative",
        "compute with floats",
        lambda b, x: b.pow(x(_ints(2, 3)), b.constant(_ints(3, -1))),
    ),
)

NOTES: Final = {note.name: note for note in _NOTES}
"""Every known note by its name."""
