"""Which batch sizes compute a number of items."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webnn.model.sizes import MOST_SHAPES, SEEN, SIZES, Plans, ShapePlans, pieces


@given(st.integers(0, 500), st.sets(st.integers(1, 64), min_size=1))
def test_every_item_is_in_exactly_one_piece(count: int, sizes: set[int]) -> None:
    cut = pieces(count, sorted(sizes))
    assert [piece.start for piece in cut] == [sum(p.count for p in cut[:i]) for i in range(len(cut))]
    assert sum(piece.count for piece in cut) == count
    assert all(0 < piece.count <= piece.size and piece.size in sizes for piece in cut)


def used(plans: Plans, cost: Callable[[int], float], count: int, calls: int) -> list[list[int]]:
    """The sizes in each of many calls, where an item in a batch of a size takes `cost` nanoseconds."""
    sizes: list[list[int]] = []
    for _ in range(calls):
        sizes.append([])
        left = count
        while left:
            runs = plans.plan(left)
            sizes[-1] += [piece.size for piece in runs]
            plans.record(runs, int(sum(piece.size * cost(piece.size) for piece in runs)))
            left -= sum(piece.count for piece in runs)
    return sizes


@pytest.mark.parametrize("side_by_side", [1, 2, 5])
@pytest.mark.parametrize(
    ("costs", "best"),
    [
        ({1: 1000, 2: 600, 8: 300, 32: 100}, 32),  # small rows: an overhead for each run
        ({1: 3900, 2: 3850, 8: 4500, 32: 5600}, 1),  # images: one fills the caches
        ({1: 1000, 2: 900, 8: 500, 32: 800}, 8),
        ({1: 1000, 2: 2000, 8: 3000, 32: 4000}, 1),
    ],
)
def test_the_fastest_size_is_found_and_kept(costs: dict[int, int], best: int, side_by_side: int) -> None:
    calls = used(Plans(SIZES, side_by_side), lambda size: costs[size], 64, 40)
    assert set(calls[0]) == {32}
    assert {size for sizes in calls[20:] for size in sizes} == {best}


def test_a_search_takes_few_of_the_items_of_a_call_and_goes_on_in_the_same_call() -> None:
    plans = Plans(SIZES)
    assert used(plans, lambda size: 1000 / size, 128, 3) == [
        [32] * 4,  # the first one made the graph, and takes a quarter of the time of all
        [1] * 3 + [32] * 4,  # the last one has 29 items
        [2] * 3 + [8] * 3 + [32] * 3 + [2],
    ]
    assert plans.best == 32
    pairs = used(Plans(SIZES, 2), lambda size: 1000 / size, 320, 2)
    assert pairs[0] == [32] * 10
    assert pairs[1][:6] == [1] * 6  # those that go side by side are timed together


def test_another_size_is_tried_when_making_its_graph_is_a_small_part_of_the_time() -> None:
    plans = Plans(SIZES)
    plans.record(plans.plan(32), 1_000_000)
    steps = 0
    while plans.plan(32)[0].size == 32:
        plans.record(plans.plan(32), 10_000)
        steps += 1
    assert steps == 300
    plans.record(plans.plan(32), 500_000)  # makes the graph of one item
    for _ in range(2):
        plans.record(plans.plan(32), 400)
    assert plans.plan(32)[0].size == 32  # the next size waits again


def test_the_search_ends_with_a_size_that_is_worse() -> None:
    calls = used(Plans(SIZES), lambda size: 1000 + 20 * size, 40, 20)
    assert sum(size in (2, 8) for sizes in calls for size in sizes) < 10
    assert calls[-1] == [1] * 40


def test_a_step_that_waits_for_the_compilation_does_not_count() -> None:
    plans = Plans((1, 8))
    for nanoseconds in (10**9, 500, 500):
        plans.record(plans.plan(8), nanoseconds)
    for nanoseconds in (10**9, 100, 100):
        plans.record(plans.plan(8), nanoseconds)
    assert plans.plan(8)[0].size == 8


def test_calls_that_are_not_measured_use_the_largest_sizes_until_the_best_one_is_known() -> None:
    """Beside others, a call takes long whatever its sizes are. One that tried small ones would do so for ever."""
    plans = Plans(SIZES)
    assert [piece.size for piece in plans.plan(43, measured=False)] == [32, 8, 2, 1]
    used(plans, lambda size: 1000 + 20 * size, 8, 1)
    assert [piece.size for piece in plans.plan(43, measured=False)] == [32, 8, 2, 1]  # the larger ones are not known
    used(plans, lambda size: 1000 + 20 * size, 64, 20)
    assert [piece.size for piece in plans.plan(3, measured=False)] == [1, 1, 1]


def test_few_items_use_no_larger_size_than_they_nearly_fill() -> None:
    plans = Plans(SIZES)
    assert plans.plan(0) == []
    used(plans, lambda size: 1000 / size, 64, 20)
    assert [piece.size for piece in plans.plan(3)] == [2, 1]
    assert [piece.size for piece in plans.plan(6)] == [8]
    plans.record([], 5)


def test_sizes_are_tried_for_shapes_that_come_often() -> None:
    plans = ShapePlans(SIZES, SEEN)

    def largest(shapes: Sequence[int], count: int = 64) -> int:
        return plans.of(tuple(shapes)).plan(count)[0].size

    assert [largest([224, 224]) for _ in range(SEEN + 1)] == [32] * (SEEN + 1)
    used(plans.of((224, 224)), lambda size: {1: 9, 2: 8, 8: 3, 32: 5}[size], 64, 30)
    assert largest([7, 7]) == 8  # as shapes that were measured
    for side in range(20 * MOST_SHAPES):
        largest([side])
    assert len(plans._calls) <= MOST_SHAPES * SEEN + 1
