"""Calls of the operators that networks are made of: products, windows, normalization, recurrence."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from tests.property.draft import Draft, Shape, Values, between, ordered, positive
from tests.property.registry import Arguments, axes_of, draws, number
from webnn.graph.operand import MLOperand


@draws("gemm")
def gemm(draft: Draft, op: str) -> Arguments:
    across, down = draft.flag(), draft.flag()
    a = draft.operand(op, "a")
    data_type, (m, k), n = a.data_type, a.shape[:: -1 if across else 1], draft.integer(1, 5)
    b = draft.make(data_type, (n, k) if down else (k, n))
    options = draft.options(
        c=lambda: draft.make(data_type, draft.stretchable((m, n))),
        alpha=lambda: number(draft),
        beta=lambda: number(draft),
    )
    return [a, b], {**options, "a_transpose": across, "b_transpose": down}


@draws("matmul")
def matmul(draft: Draft, op: str) -> Arguments:
    a, size = draft.operand(op, "a"), draft.integer(1, 5)
    *own, m, k = a.shape
    more = draft.shape(0, 8 - a.rank) if draft.flag() else ()
    batch = (*more, *draft.stretchable(tuple(own), lowest_rank=len(own) if more else 0))
    if draft.flag():
        return [a, draft.make(a.data_type, (*batch, k, size))], {}
    return [draft.make(a.data_type, (*batch, size, m)), a], {}


def _arranged(layout: str, **sizes: int) -> Shape:
    """The sizes in the order of the letters of `layout`."""
    return tuple(sizes[letter] for letter in layout)


def _image(
    draft: Draft, op: str, layout: str, values: Values | None = None, highest: int = 6
) -> tuple[MLOperand, int, list[int]]:
    """An input, its channels, and its height and width."""
    x = draft.known(op, "input") if values is None else None
    if x is None:
        sizes = {"n": draft.integer(1, 2), "c": draft.integer(1, 6)}
        sizes |= {"h": draft.integer(1, highest), "w": draft.integer(1, highest)}
        x = draft.operand(op, "input", _arranged(layout, **sizes), values)
    of = dict(zip(layout, x.shape, strict=True))
    return x, of["c"], [of["h"], of["w"]]


def _window(draft: Draft, size: list[int], padding: list[int]) -> tuple[list[int], list[int]]:
    """Sizes and dilations of a window that fits into the padded input."""
    padded = [size[i] + padding[2 * i] + padding[2 * i + 1] for i in range(2)]
    window = [draft.integer(1, min(3, whole)) for whole in padded]
    most = [3 if window[i] == 1 else (padded[i] - 1) // (window[i] - 1) for i in range(2)]
    return window, [draft.integer(1, high) for high in most]


@draws("conv2d")
def conv2d(draft: Draft, op: str) -> Arguments:
    layout, filters = draft.pick(["nchw", "nhwc"]), draft.pick(["oihw", "hwio", "ohwi", "ihwo"])
    x, channels, size = _image(draft, op, layout)
    groups = draft.pick([n for n in range(1, channels + 1) if channels % n == 0])
    data_type, into, out = x.data_type, channels // groups, draft.integer(1, 2) * groups
    padding, strides = [draft.integer(0, 2) for _ in range(4)], [draft.integer(1, 3) for _ in range(2)]
    kernel, dilations = _window(draft, size, padding)
    weight = draft.make(data_type, _arranged(filters, o=out, i=into, h=kernel[0], w=kernel[1]))
    options = draft.options(bias=lambda: draft.make(data_type, (out,)))
    return [x, weight], {
        **options,
        "padding": padding,
        "strides": strides,
        "dilations": dilations,
        "groups": groups,
        "input_layout": layout,
        "filter_layout": filters,
    }


@draws("conv_transpose2d")
def conv_transpose2d(draft: Draft, op: str) -> Arguments:
    layout, filters = draft.pick(["nchw", "nhwc"]), draft.pick(["iohw", "hwoi", "ohwi"])
    x, into, sizes = _image(draft, op, layout)
    groups = draft.pick([n for n in range(1, into + 1) if into % n == 0])
    data_type, out = x.data_type, draft.integer(1, 2)
    kernel, strides, dilations = ([draft.integer(1, 3) for _ in range(2)] for _ in range(3))
    full = [(sizes[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 for i in range(2)]
    padding = []
    for size in full:
        before = draft.integer(0, min(2, size - 1))
        padding += [before, draft.integer(0, min(2, size - 1 - before))]
    extra = [draft.integer(0, strides[i] - 1) for i in range(2)]
    weight = draft.make(data_type, _arranged(filters, i=into, o=out, h=kernel[0], w=kernel[1]))
    options = draft.options(bias=lambda: draft.make(data_type, (out * groups,)))
    match draft.integer(0, 2):
        case 0:
            options["output_padding"] = extra
        case 1:
            options["output_sizes"] = [full[i] - padding[2 * i] - padding[2 * i + 1] + extra[i] for i in range(2)]
    return [x, weight], {
        **options,
        "padding": padding,
        "strides": strides,
        "dilations": dilations,
        "groups": groups,
        "input_layout": layout,
        "filter_layout": filters,
    }


@draws("average_pool2d", "l2_pool2d", "max_pool2d")
def pooling(draft: Draft, op: str) -> Arguments:
    layout = draft.pick(["nchw", "nhwc"])
    x, _, size = _image(draft, op, layout, draft.pick([None, ordered]) if op == "max_pool2d" else None)
    if draft.integer(0, 5) == 0:
        return [x], {"layout": layout}
    padding, strides = [draft.integer(0, 2) for _ in range(4)], [draft.integer(1, 3) for _ in range(2)]
    window, dilations = _window(draft, size, padding)
    padded = [size[i] + padding[2 * i] + padding[2 * i + 1] for i in range(2)]
    steps = [(padded[i] - (window[i] - 1) * dilations[i] - 1) / strides[i] for i in range(2)]
    rounding = draft.pick([math.floor, math.ceil])
    options = draft.options(
        output_shape_rounding=lambda: draft.pick(["floor", "ceil"]),
        output_sizes=lambda: [rounding(step) + 1 for step in steps],
    )
    return [x], {
        **options,
        "window_dimensions": window,
        "padding": padding,
        "strides": strides,
        "dilations": dilations,
        "layout": layout,
    }


def _epsilon(draft: Draft) -> float:
    return draft.pick([1e-5, 1e-3, 0.5])


@draws("batch_normalization")
def batch_normalization(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input")
    axis = draft.integer(0, x.rank - 1) if x.rank == 1 or draft.flag() else 1
    one = (x.shape[axis],)
    options = draft.options(
        scale=lambda: draft.make(x.data_type, one),
        bias=lambda: draft.make(x.data_type, one),
        epsilon=lambda: _epsilon(draft),
    )
    return [x, draft.make(x.data_type, one), draft.make(x.data_type, one, positive)], {**options, "axis": axis}


@draws("instance_normalization")
def instance_normalization(draft: Draft, op: str) -> Arguments:
    layout = draft.pick(["nchw", "nhwc"])
    x, channels, _ = _image(draft, op, layout, highest=3)
    options = draft.options(
        scale=lambda: draft.make(x.data_type, (channels,)),
        bias=lambda: draft.make(x.data_type, (channels,)),
        epsilon=lambda: _epsilon(draft),
    )
    return [x], {**options, "layout": layout}


@draws("layer_normalization")
def layer_normalization(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input")
    axes = axes_of(draft, x) if draft.flag() else None
    normalized = tuple(x.shape[axis] for axis in (range(1, x.rank) if axes is None else axes))
    options = draft.options(
        scale=lambda: draft.make(x.data_type, normalized),
        bias=lambda: draft.make(x.data_type, normalized),
        epsilon=lambda: _epsilon(draft),
    )
    return [x], options if axes is None else {**options, "axes": axes}


@draws("resample2d")
def resample2d(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input", tuple(draft.integer(1, 4) for _ in range(4)))
    options = draft.options(axes=lambda: draft.draw(st.permutations(range(4)))[:2])
    axes = options.get("axes", [2, 3])
    if draft.flag():
        options["sizes"] = [draft.integer(1, 7) for _ in range(2)]
    elif draft.flag():
        options["scales"] = [draft.pick([1 / x.shape[axis], 1.0, 1.5, 2.0, 2.75]) for axis in axes]
    return [x], {**options, **draft.options(mode=lambda: draft.pick(["nearest-neighbor", "linear"]))}


def _blocks(draft: Draft, shape: Shape) -> Shape:
    return tuple(draft.pick([n for n in range(1, size + 1) if size % n == 0]) for size in shape)


@draws("quantize_linear")
def quantize_linear(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input")
    blocks = _blocks(draft, x.shape)
    return [x, draft.make(x.data_type, blocks, positive), draft.operand(op, "zero_point", blocks)], {}


@draws("dequantize_linear")
def dequantize_linear(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input")
    blocks = _blocks(draft, x.shape)
    return [x, draft.operand(op, "scale", blocks, positive), draft.make(x.data_type, blocks)], {}


@draws("gru", "gru_cell", "lstm", "lstm_cell")
def recurrent(draft: Draft, op: str) -> Arguments:
    gates, weights = (3, ["zrn", "rzn"]) if op.startswith("gru") else (4, ["iofg", "ifgo"])
    data_type, cell = draft.type_of(op, "input"), op.endswith("_cell")
    steps, batch, size, hidden = (draft.integer(1, 3) for _ in range(4))
    direction = draft.pick(["forward", "backward", "both"])
    directions = () if cell else (2 if direction == "both" else 1,)

    def make(*shape: int) -> MLOperand:
        return draft.make(data_type, (*directions, *shape), between(-1, 1))

    x = draft.make(data_type, (batch, size) if cell else (steps, batch, size), between(-1, 1))
    args: list[Any] = [x, make(gates * hidden, size), make(gates * hidden, hidden)]
    options = draft.options(
        bias=lambda: make(gates * hidden),
        recurrent_bias=lambda: make(gates * hidden),
        activations=lambda: [draft.pick(["relu", "sigmoid", "tanh"]) for _ in range(gates - 1)],
        layout=lambda: draft.pick(weights),
    )
    if gates == 4:
        options |= draft.options(peephole_weight=lambda: make(3 * hidden))
    else:
        options |= draft.options(reset_after=draft.flag)

    def state() -> MLOperand:
        return make(batch, hidden)

    if cell:
        args += [state() for _ in range(gates - 2)] + [hidden]
    else:
        args += [steps, hidden]
        names = ["initial_hidden_state", "initial_cell_state"][: gates - 2]
        options |= draft.options(**dict.fromkeys(names, state), return_sequence=draft.flag) | {"direction": direction}
    return args, options
