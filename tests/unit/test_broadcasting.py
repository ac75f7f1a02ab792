from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webnn.errors import ValidationError
from webnn.graph import broadcasting

shapes = st.lists(st.integers(1, 3), max_size=4).map(tuple)


@given(shapes, shapes)
def test_two_shapes_broadcast_as_in_numpy(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        expected = None
    assert broadcasting.bidirectional(a, b) == expected
    assert broadcasting.is_unidirectional(a, b) == (expected == b)


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [
        ((), (), ()),
        ((), (2, 3), (2, 3)),
        ((1,), (2, 3), (2, 3)),
        ((5, 1), (6,), (5, 6)),
        ((3,), (2,), None),
        ((2, 1), (3, 1), None),
    ],
)
def test_both_shapes_can_be_broadcast(a: tuple[int, ...], b: tuple[int, ...], result: tuple[int, ...] | None) -> None:
    assert broadcasting.bidirectional(a, b) == result
    assert broadcasting.bidirectional(b, a) == result


def test_several_shapes_broadcast_to_one() -> None:
    assert broadcasting.broadcast(condition=(2, 1), true_value=(3,), false_value=()) == (2, 3)


def test_shapes_that_do_not_broadcast_are_named() -> None:
    with pytest.raises(ValidationError, match=r"^a \[2, 3\] and b \[4\] cannot be broadcast together$"):
        broadcasting.broadcast(a=(2, 3), b=(4,))


@pytest.mark.parametrize(
    ("shape", "target", "broadcasts"),
    [((), (2,), True), ((3,), (2, 3), True), ((1, 1), (3,), False), ((2,), (1,), False), ((2, 1), (2, 3), True)],
)
def test_unidirectional_broadcasting_keeps_the_target(
    shape: tuple[int, ...], target: tuple[int, ...], broadcasts: bool
) -> None:
    assert broadcasting.is_unidirectional(shape, target) == broadcasts


@pytest.mark.parametrize(
    ("shape", "target", "divides"),
    [
        ((), (), True),
        ((2, 3), (4, 9), True),
        ((1, 1), (5, 7), True),
        ((2,), (3,), False),
        ((4,), (2,), False),
        ((2,), (2, 2), False),
    ],
)
def test_blocks_divide_their_dimensions(shape: tuple[int, ...], target: tuple[int, ...], divides: bool) -> None:
    assert broadcasting.is_blockwise(shape, target) == divides


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=4))
def test_blocks_become_ordinary_broadcasting(sizes: list[tuple[int, int]]) -> None:
    shape, target = tuple(i for i, _ in sizes), tuple(i * times for i, times in sizes)
    blocks = np.arange(int(np.prod(shape))).reshape(shape)
    repeated = blocks
    for axis, (_, times) in enumerate(sizes):
        repeated = repeated.repeat(times, axis)
    plain_shape, plain_target = broadcasting.plain_broadcast(shape, target)
    stretched = np.broadcast_to(blocks.reshape(plain_shape), plain_target)
    assert stretched.reshape(target).tolist() == repeated.tolist()
