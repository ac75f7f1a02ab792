"""Data movement: every operator maps output positions to input positions, for any data type."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.errors import ValidationError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import ALL, DataType, numpy_dtype
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Array = np.ndarray[Any, Any]
Builder = MLGraphBuilder[Graph]
Call = Callable[[Builder, MLOperand], Any]
Index = tuple[int, ...]
Move = tuple[str, Call, Index, Callable[[Index], Index | None]]
"""A name, the call, the output's shape, and where in the input (None: nowhere, it is 0) each output element is from."""

SHAPE = (3, 2, 4, 1, 2, 1, 1, 2)


def values(shape: Sequence[int], data_type: DataType) -> Array:
    """Values that a conversion to another data type would change by rounding, clamping or the sign."""
    dtype = numpy_dtype(data_type)
    count = math.prod(shape)
    if dtype.kind == "f":
        special = [math.nan, -0.0, math.inf, -math.inf, float(np.finfo(dtype).max), float(np.finfo(dtype).tiny)]
        numbers = np.array([*special, *(i / 7 for i in range(count))][-count:], dtype)
    else:
        info = np.iinfo(dtype)
        numbers = np.array([int(info.max) - i % 99 if i % 2 else int(info.min) + i % 99 for i in range(count)], dtype)
    return numbers.reshape(shape)


def moves(shape: Index) -> Iterator[Move]:
    rank = len(shape)
    yield "transpose", lambda b, x: b.transpose(x), shape[::-1], lambda i: i[::-1]
    turned = (*range(1, rank), 0)[:rank]
    yield (
        "transpose with permutation",
        lambda b, x: b.transpose(x, permutation=turned),
        tuple(shape[d] for d in turned),
        lambda i: tuple(i[turned.index(d)] for d in range(rank)),
    )
    yield "reverse", lambda b, x: b.reverse(x), shape, lambda i: tuple(s - 1 - j for s, j in zip(shape, i, strict=True))
    yield "reverse of no axis", lambda b, x: b.reverse(x, axes=[]), shape, lambda i: i
    yield (
        "reshape to one dimension",
        lambda b, x: b.reshape(x, [math.prod(shape)]),
        (math.prod(shape),),
        lambda i: tuple(int(j) for j in np.unravel_index(i[0], shape)) if shape else (),
    )
    yield "reshape to itself", lambda b, x: b.reshape(x, shape), shape, lambda i: i
    leading = (2,) * min(2, 8 - rank)
    yield "expand", lambda b, x: b.expand(x, leading + shape), leading + shape, lambda i: i[len(leading) :]
    starts, strides = (1, 0, 1, 0, 1, 0, 0, 0)[:rank], (1, 1, 2, 3, 1, 1, 1, 2)[:rank]
    sizes = tuple(size - start for size, start in zip(shape, starts, strict=True))
    yield (
        "slice",
        lambda b, x: b.slice(x, starts, sizes, strides=strides),
        tuple(math.ceil(size / stride) for size, stride in zip(sizes, strides, strict=True)),
        lambda i: tuple(start + stride * j for start, stride, j in zip(starts, strides, i, strict=True)),
    )
    yield "slice of everything", lambda b, x: b.slice(x, (0,) * rank, shape), shape, lambda i: i
    times = (2, 1, 1, 3, 1, 2, 1, 1)[:rank]
    tiled = tuple(size * n for size, n in zip(shape, times, strict=True))
    yield "tile", lambda b, x: b.tile(x, times), tiled, lambda i: tuple(j % s for s, j in zip(shape, i, strict=True))
    before, after = (1, 0, 2, 0, 0, 0, 0, 1)[:rank], (2, 1, 0, 0, 1, 0, 0, 0)[:rank]
    padded = tuple(b + s + a for b, s, a in zip(before, shape, after, strict=True))

    def inside(i: Index) -> Index | None:
        j = tuple(k - b for k, b in zip(i, before, strict=True))
        return j if all(0 <= k < s for k, s in zip(j, shape, strict=True)) else None

    def nearest(i: Index) -> Index:
        return tuple(min(max(k - b, 0), s - 1) for k, b, s in zip(i, before, shape, strict=True))

    def mirrored(i: Index) -> Index:
        return tuple(abs(s - 1 - abs(s - 1 - (k - b))) for k, b, s in zip(i, before, shape, strict=True))

    yield "pad", lambda b, x: b.pad(x, before, after), padded, inside
    yield "pad at the edge", lambda b, x: b.pad(x, before, after, mode="edge"), padded, nearest
    yield "pad by reflection", lambda b, x: b.pad(x, before, after, mode="reflection"), padded, mirrored
    yield "pad by nothing", lambda b, x: b.pad(x, (0,) * rank, (0,) * rank, value=5), shape, lambda i: i
    if rank >= 1:
        yield (
            "concat",
            lambda b, x: b.concat([x, x, x], rank - 1),
            (*shape[:-1], 3 * shape[-1]),
            lambda i: (*i[:-1], i[-1] % shape[-1]),
        )
        yield "split", lambda b, x: b.split(x, [1, 2])[1], (2, *shape[1:]), lambda i: (i[0] + 1, *i[1:])
        yield "split evenly", lambda b, x: b.split(x, 3)[1], (1, *shape[1:]), lambda i: (i[0] + 1, *i[1:])
    if rank >= 2:
        yield "upper triangle", lambda b, x: b.triangular(x), shape, lambda i: i if i[-1] >= i[-2] else None
        yield (
            "lower triangle",
            lambda b, x: b.triangular(x, upper=False, diagonal=-1),
            shape,
            lambda i: i if i[-1] <= i[-2] - 1 else None,
        )


@pytest.mark.parametrize("rank", range(9))
def test_every_type_moves_unharmed_at_every_rank(rank: int, backend: Backend) -> None:
    shape = SHAPE[:rank]
    builder = direct_builder(backend)
    feeds: dict[str, Array] = {data_type: values(shape, data_type) for data_type in ALL}
    inputs = {data_type: builder.input(data_type, shape, data_type) for data_type in ALL}
    expected, outputs = {}, {}
    for name, call, output_shape, source in moves(shape):
        sources = [source(i) for i in np.ndindex(output_shape)]
        for data_type in ALL:
            key = f"{name} {data_type}"
            outputs[key] = call(builder, inputs[data_type])
            assert outputs[key].shape == output_shape
            x = feeds[data_type]
            flat = [x.dtype.type(0) if i is None else x[i] for i in sources]
            expected[key] = np.array(flat, x.dtype).reshape(output_shape)
    results = run_graph(builder.build(outputs), feeds, backend)
    wrong = [key for key in expected if results[key].tobytes() != expected[key].tobytes()]
    assert not wrong


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("diagonal", [-(2**31), -4, -3, -2, -1, 0, 1, 2, 3, 4, 2**31 - 1])
def test_triangles_end_where_the_diagonal_says(upper: bool, diagonal: int, backend: Backend) -> None:
    x = np.arange(1, 13, dtype=np.float32).reshape(2, 3, 2)
    kept = [[j - i >= diagonal if upper else j - i <= diagonal for j in range(2)] for i in range(3)]
    builder = direct_builder(backend)
    y = builder.triangular(builder.input("x", x.shape, "float32"), upper=upper, diagonal=diagonal)
    result = run_graph(builder.build({"y": y}), {"x": x}, backend)["y"]
    np.testing.assert_array_equal(result, np.where(kept, x, 0))


@pytest.mark.parametrize(
    ("data_type", "value", "expected"),
    [
        ("float32", math.inf, math.inf),
        ("float32", math.nan, math.nan),
        ("float16", 1e6, math.inf),
        ("float16", 0.1, 0.0999755859375),
        ("int8", -300, -128),
        ("uint8", 2.6, 3),
        ("int32", math.nan, 0),
        ("uint32", -1, 0),
        ("int64", 2**63 - 1, 2**63 - 1),
        ("int64", -math.inf, -(2**63)),
        ("uint64", 2**64 - 1, 2**64 - 1),
    ],
)
def test_the_padding_value_is_cast_to_the_type(
    data_type: DataType, value: float, expected: float, backend: Backend
) -> None:
    builder = direct_builder(backend)
    y = builder.pad(builder.input("x", [1], data_type), [1], [0], value=value)
    result = run_graph(builder.build({"y": y}), {"x": np.ones(1)}, backend)["y"]
    np.testing.assert_array_equal(result, np.array([expected, 1], numpy_dtype(data_type)))


def test_padding_reaches_far_beyond_the_edge(backend: Backend) -> None:
    builder = direct_builder(backend)
    x = builder.input("x", [2], "int32")
    y = builder.pad(x, [3], [4], mode="edge")
    result = run_graph(builder.build({"y": y}), {"x": [7, 9]}, backend)["y"]
    assert result.tolist() == [7, 7, 7, 7, 9, 9, 9, 9, 9]


def test_a_tensor_is_split_into_8192_parts_and_joined_again(backend: Backend) -> None:
    builder = direct_builder(backend)
    parts = builder.split(builder.input("x", [2, 8192], "int32"), 8192, axis=1)
    x = np.arange(2 * 8192, dtype=np.int32).reshape(2, 8192)
    result = run_graph(builder.build({"y": builder.concat(parts[::-1], 1)}), {"x": x}, backend)["y"]
    np.testing.assert_array_equal(result, x[:, ::-1])


def test_split_gives_every_part(backend: Backend) -> None:
    builder = direct_builder(backend)
    sizes: Any = np.array([1, 3, 2])
    parts = builder.split(builder.input("x", [2, 6], "float16"), sizes, axis=1)
    x = np.arange(12, dtype=np.float16).reshape(2, 6)
    results = run_graph(builder.build({str(i): part for i, part in enumerate(parts)}), {"x": x}, backend)
    assert [results[str(i)].tolist() for i in range(3)] == [x[:, :1].tolist(), x[:, 1:4].tolist(), x[:, 4:].tolist()]


def test_the_options_are_resolved_for_backends() -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 6], "float32")
    two: Any = np.int64(2)
    for output, expected in [
        (builder.transpose(x), {"permutation": (1, 0)}),
        (builder.reverse(x), {"axes": (0, 1)}),
        (builder.slice(x, [0, 1], [2, 2]), {"starts": (0, 1), "sizes": (2, 2), "strides": (1, 1)}),
        (builder.split(x, 3, axis=1)[0], {"splits": (2, 2, 2), "axis": 1}),
        (builder.split(x, two)[0], {"splits": (1, 1), "axis": 0}),
        (builder.triangular(x), {"upper": True, "diagonal": 0}),
    ]:
        assert output.node is not None
        assert output.node.attributes == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda b, x: b.concat([x, x], 1), ["Concat"]),
        (lambda b, x: b.expand(x, [5, 2, 6]), ["Expand"]),
        (lambda b, x: b.pad(x, [1, 0], [0, 1]), ["Pad"]),
        (lambda b, x: b.reshape(x, [12]), ["Reshape"]),
        (lambda b, x: b.reverse(x), ["Slice"]),
        (lambda b, x: b.slice(x, [0, 1], [2, 3], strides=[1, 2]), ["Slice"]),
        (lambda b, x: b.split(x, 2)[0], ["Split"]),
        (lambda b, x: b.tile(x, [2, 2]), ["Tile"]),
        (lambda b, x: b.transpose(x), ["Transpose"]),
        (lambda b, x: b.triangular(x), ["Trilu"]),
        (lambda b, x: b.expand(x, [2, 6]), []),
        (lambda b, x: b.pad(x, [0, 0], [0, 0]), []),
        (lambda b, x: b.reshape(x, [2, 6]), []),
        (lambda b, x: b.reverse(x, axes=[]), []),
        (lambda b, x: b.slice(x, [0, 0], [2, 6]), []),
        (lambda b, x: b.split(x, 1)[0], []),
        (lambda b, x: b.tile(x, [1, 1]), []),
        (lambda b, x: b.transpose(x, permutation=[0, 1]), []),
    ],
)
def test_moving_is_one_onnx_node_and_not_moving_is_none(call: Call, expected: list[str]) -> None:
    builder = direct_builder()
    graph = builder.build({"y": call(builder, builder.input("x", [2, 6], "float32"))})
    nodes = lower(graph, cpu_kernels()).finish().graph.node
    # An output that is an input is one under another name.
    assert [node.op_type for node in nodes] == (expected or ["Identity"])


HUGE = 2**29 - 1


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda b, x: b.concat([], 0), r"inputs must be 1 to 8192 operands, got 0"),
        (lambda b, x: b.concat([x] * 8193, 0), r"inputs must be 1 to 8192 operands, got 8193"),
        (lambda b, x: b.concat([x], 2), r"axis 2 is out of range for shape \[2, 3\]"),
        (lambda b, x: b.concat([x], -1), r"axis -1 is out of range for shape \[2, 3\]"),
        (lambda b, x: b.concat([x], True), r"axis must be an integer, got True"),
        (lambda b, x: b.concat(x, 0), r"inputs must be a list of MLOperands, got MLOperand"),
        (lambda b, x: b.concat([x, 1], 0), r"inputs\[1\] must be an MLOperand, got int 1"),
        (
            lambda b, x: b.concat([x, b.input("y", [2, 3], "int32")], 0),
            r"inputs\[1\] is int32, but must have .* float32",
        ),
        (
            lambda b, x: b.concat([x, b.input("y", [2, 4], "float32")], 0),
            r"inputs\[1\] \[2, 4\] must have the shape of inputs\[0\] \[2, 3\] except along axis 0",
        ),
        (
            lambda b, x: b.concat([x, b.input("y", [2], "float32")], 1),
            r"\[2\] must have the shape of inputs\[0\] \[2, 3\]",
        ),
        (lambda b, x: b.concat([x, b.input("y", [2, 3, 1], "float32")], 1), r"inputs\[1\] \[2, 3, 1\] must have"),
        (
            lambda b, x: b.concat([b.input("y", [], "int8")], 0),
            r"inputs\[0\] \[\] has rank 0, but must have rank 1 to 8",
        ),
        (lambda b, x: b.concat([b.input("y", [HUGE], "float32")] * 2, 0), r"takes \d+ bytes; at most 2147483647"),
        (
            lambda b, x: b.concat([b.input("y", [2**31 - 1], "int8")] * 2, 0),
            r"dimension 4294967294 is out of range; it must be 1 to",
        ),
        (lambda b, x: b.expand(x, [2, 2]), r"input \[2, 3\] cannot be broadcast to new_shape \[2, 2\]"),
        (lambda b, x: b.expand(x, [3]), r"input \[2, 3\] cannot be broadcast to new_shape \[3\]"),
        (lambda b, x: b.expand(x, [0, 2, 3]), r"dimension 0 is out of range; it must be 1 to 2147483647"),
        (lambda b, x: b.expand(x, [1] * 7 + [2, 3]), r"has 9 dimensions; at most 8"),
        (lambda b, x: b.expand(x, [HUGE, 2, 3]), r"has 3221225466 elements"),
        (lambda b, x: b.expand(x, "23"), r"new_shape must be a sequence of integers, got '23'"),
        (lambda b, x: b.pad(x, [1], [1, 1]), r"beginning_padding must have 2 items, got \[1\]"),
        (lambda b, x: b.pad(x, [1, 1], [1, 1, 1]), r"ending_padding must have 2 items, got \[1, 1, 1\]"),
        (
            lambda b, x: b.pad(x, [2, 0], [0, 0], mode="reflection"),
            r"beginning_padding \[2, 0\] must be smaller than in",
        ),
        (
            lambda b, x: b.pad(x, [1, 2], [0, 3], mode="reflection"),
            r"ending_padding \[0, 3\] must be smaller than input",
        ),
        (lambda b, x: b.pad(x, [1, 1], [1, 1], mode="symmetric"), r"mode must be one of 'constant', .*'symmetric'"),
        (lambda b, x: b.pad(x, [1, 1], [1, 1], value="1"), r"value must be a number, got '1'"),
        (
            lambda b, x: b.pad(x, [1, 2**31], [1, 1]),
            r"dimension 2147483652 is out of range; it must be 1 to 2147483647",
        ),
        (lambda b, x: b.pad(x, [1, -1], [1, 1]), r"beginning_padding\[1\] must be an integer from 0 to .*, got -1"),
        (lambda b, x: b.reshape(x, [4]), r"new_shape \[4\] has 4 elements, but input \[2, 3\] has 6"),
        (lambda b, x: b.reshape(x, []), r"new_shape \[\] has 1 elements, but input \[2, 3\] has 6"),
        (lambda b, x: b.reshape(x, [6, 0]), r"dimension 0 is out of range; it must be 1 to 2147483647"),
        (lambda b, x: b.reshape(x, [-1]), r"new_shape\[0\] must be an integer from 0 to 4294967295, got -1"),
        (lambda b, x: b.reshape(x, [1.5, 4]), r"new_shape\[0\] must be an integer, got 1.5"),
        (lambda b, x: b.reshape(x, 6), r"new_shape must be a sequence of integers, got 6"),
        (lambda b, x: b.reshape(x, np.array(6)), r"new_shape must be a sequence of integers, got array\(6\)"),
        (lambda b, x: b.reshape(x, [2, 3] + [1] * 7), r"has 9 dimensions; at most 8"),
        (lambda b, x: b.reshape("x", [6]), r"input must be an MLOperand, got str 'x'"),
        (lambda b, x: b.reverse(x, axes=[2]), r"axes \[2\]: 2 is out of range for shape \[2, 3\]"),
        (lambda b, x: b.reverse(x, axes=[1, 0, 1]), r"axes \[1, 0, 1\] has 1 twice"),
        (lambda b, x: b.slice(x, [0], [1, 1]), r"starts must have 2 items, got \[0\]"),
        (lambda b, x: b.slice(x, [0, 0], [1, 1, 1]), r"sizes must have 2 items, got \[1, 1, 1\]"),
        (lambda b, x: b.slice(x, [0, 0], [1, 1], strides=[]), r"strides must have 2 items, got \[\]"),
        (lambda b, x: b.slice(x, [0, 0], [1, 0]), r"sizes must be at least 1 everywhere, got \[1, 0\]"),
        (
            lambda b, x: b.slice(x, [0, 0], [1, 1], strides=[0, 1]),
            r"strides must be at least 1 everywhere, got \[0, 1\]",
        ),
        (lambda b, x: b.slice(x, [0, 1], [2, 3]), r"starts \[0, 1\] with sizes \[2, 3\] exceed input \[2, 3\]"),
        (lambda b, x: b.split(x, 2, axis=2), r"axis 2 is out of range for shape \[2, 3\]"),
        (lambda b, x: b.split(x, 0), r"splits must be 1 to 8192, got 0"),
        (lambda b, x: b.split(x, 8193), r"splits must be 1 to 8192, got 8193"),
        (lambda b, x: b.split(x, 2, axis=1), r"splits 2 does not divide axis 1 of input \[2, 3\] evenly"),
        (lambda b, x: b.split(x, []), r"splits must be 1 to 8192 sizes, got 0"),
        (lambda b, x: b.split(x, [1] * 8193), r"splits must be 1 to 8192 sizes, got 8193"),
        (lambda b, x: b.split(x, [2, 0]), r"each of splits must be at least 1, got \[2, 0\]"),
        (lambda b, x: b.split(x, [1, 2]), r"splits \[1, 2\] add up to 3, but axis 0 of input \[2, 3\] has size 2"),
        (lambda b, x: b.split(x, "2"), r"splits must be a sequence of integers, got '2'"),
        (lambda b, x: b.split(x, None), r"splits must be an integer, got None"),
        (lambda b, x: b.split(b.input("y", [], "int8"), 1), r"input \[\] has rank 0, but must have rank 1 to 8"),
        (lambda b, x: b.tile(x, [2]), r"repetitions must have 2 items, got \[2\]"),
        (lambda b, x: b.tile(x, [2, 0]), r"repetitions must be at least 1 everywhere, got \[2, 0\]"),
        (
            lambda b, x: b.tile(x, [2**31, 1]),
            r"tile: output shape \[4294967296, 3\]: dimension 4294967296 is out of range; it must be 1 to",
        ),
        (lambda b, x: b.tile(x, [2**29, 1]), r"tile: output shape \[1073741824, 3\] has \d+ elements; at most"),
        (lambda b, x: b.pad(x, [2**32 - 1, 0], [9, 0]), r"pad: output shape \[4294967306, 3\]: dimension 4294967306"),
        (lambda b, x: b.concat([b.input("y", [HUGE], "uint8")] * 9, 0), r"concat: output shape \[\d+\]: dimension"),
        (
            lambda b, x: b.transpose(x, permutation=[0]),
            r"permutation must have each of the 2 axes of input \[2, 3\], got \[0\]",
        ),
        (
            lambda b, x: b.transpose(x, permutation=[0, 2]),
            r"permutation \[0, 2\]: 2 is out of range for shape \[2, 3\]",
        ),
        (lambda b, x: b.transpose(x, permutation=[1, 1]), r"permutation \[1, 1\] has 1 twice"),
        (lambda b, x: b.triangular(b.input("y", [3], "int8")), r"input \[3\] has rank 1, but must have rank 2 to 8"),
        (lambda b, x: b.triangular(x, upper=1), r"upper must be True or False, got 1"),
        (lambda b, x: b.triangular(x, diagonal=2**31), r"diagonal must be an integer from -2147483648 to 2147483647"),
        (lambda b, x: b.triangular(x, diagonal=0.5), r"diagonal must be an integer, got 0.5"),
    ],
)
def test_errors_name_what_was_given(call: Call, match: str) -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 3], "float32")
    with pytest.raises(ValidationError, match=match):
        call(builder, x)
