"""The rules of streams, without threads: which item is next, which are dropped, in which order results come."""

from __future__ import annotations

from typing import Any

import pytest

from webnn.runtime.streaming.window import (
    CHEAP,
    MOST_READY,
    OVERDUE,
    STOCK,
    Failure,
    Item,
    StreamStatistics,
    Window,
)

LONG = 10 * CHEAP
"""Nanoseconds of an item that is not cheap."""


def taken(window: Window) -> list[Any]:
    """What the consumer gets now."""
    results = list(window.ready)
    window.ready.clear()
    return results


def begun(window: Window, now: int = 0) -> Item:
    item = window.begin(now)
    assert item is not None
    return item


def filled_with(window: Window, values: str, now: int = 0) -> Window:
    for value in values:
        window.offer(value, now)
    return window


def test_results_come_in_the_order_of_their_items() -> None:
    window = filled_with(Window(depth=3, width=3), "abc")
    a, b, c = (begun(window) for _ in range(3))
    window.finish(b, "B", LONG)
    assert taken(window) == []
    window.finish(a, "A", LONG)
    assert taken(window) == ["A", "B"]
    window.finish(c, "C", LONG)
    assert taken(window) == ["C"]


def test_results_that_are_not_ordered_come_as_they_finish() -> None:
    window = filled_with(Window(depth=3, width=3, ordered=False), "abc")
    a, b, c = (begun(window) for _ in range(3))
    for item in (c, a, b):
        window.finish(item, item.value.upper(), LONG)
    assert taken(window) == ["C", "A", "B"]


def test_waiting_running_and_ready_items_together_are_at_most_the_depth() -> None:
    window = filled_with(Window(depth=3, width=1), "ab")
    assert window.has_room
    a = begun(window)
    window.offer("c", 0)
    assert not window.has_room
    window.finish(a, "A", LONG)
    assert not window.has_room
    assert taken(window) == ["A"]
    assert window.has_room


def test_no_more_items_are_in_progress_than_there_are_places() -> None:
    window = filled_with(Window(depth=8, width=2), "abcd")
    a, _ = begun(window), begun(window)
    assert window.begin(0) is None
    window.finish(a, "A", LONG)
    assert begun(window).value == "c"


def test_cheap_items_have_one_place_and_dear_ones_have_all() -> None:
    window = filled_with(Window(depth=64, width=2), "ab" + 30 * "c")
    window.finish(begun(window), "A", CHEAP // 2)
    item = begun(window)
    assert window.is_cheap
    assert window.begin(0) is None
    for _ in range(20):
        window.finish(item, "C", LONG)
        item = begun(window)
    assert not window.is_cheap
    assert window.begin(0) is not None


def test_one_disturbed_item_does_not_make_the_others_dear() -> None:
    window = filled_with(Window(depth=8, width=2), "ab")
    window.finish(begun(window), "A", CHEAP // 10)
    window.finish(begun(window), "B", 3 * CHEAP)
    assert window.is_cheap


def test_a_few_dear_items_among_cheap_ones_keep_all_places() -> None:
    window = filled_with(Window(depth=None, width=2), 100 * "a")
    for i in range(100):
        window.finish(begun(window), i, 100 * LONG if i % 10 == 0 else CHEAP // 10)
        assert not window.is_cheap
        window.ready.clear()


def test_an_item_that_takes_long_does_not_hold_back_cheap_ones() -> None:
    window = filled_with(Window(depth=8, width=2), "abcd")
    window.finish(begun(window), "A", CHEAP // 2)
    begun(window, now=1000)
    assert window.begin(2000) is None
    assert window.is_held_back(2000)
    assert not window.is_held_back(1001 + OVERDUE)
    assert begun(window, now=1001 + OVERDUE).value == "c"
    assert not window.is_held_back(2 * OVERDUE)  # there is no place
    assert window.begin(10 * OVERDUE) is None


@pytest.mark.parametrize(
    ("cost", "depth"), [(0, 8), (LONG, 8), (100_000, 10), (20_000, 50), (10_000, MOST_READY), (10, MOST_READY)]
)
def test_a_depth_that_is_not_given_holds_about_a_millisecond_of_cheap_work(cost: int, depth: int) -> None:
    window = filled_with(Window(depth=None, width=2), "a")
    if cost:
        window.finish(begun(window), "A", cost)
    assert window.depth == depth


def test_few_items_wait_if_no_depth_is_given() -> None:
    window = filled_with(Window(depth=None, width=2), "a")
    assert not window.has_room
    a = begun(window)
    assert window.has_room
    filled_with(window, "b")
    assert not window.has_room
    window.finish(a, "A", CHEAP // 2)
    assert window.has_room  # cheap items do not grow old


@pytest.mark.parametrize("width", [1, 2, 8])
def test_a_source_that_does_not_wait_for_its_items_is_woken_when_half_of_its_stock_is_left(width: int) -> None:
    window = Window(depth=None, width=width)
    window.is_live = False
    while window.has_room:
        window.offer("a", 0)
    assert len(window.waiting) == STOCK * width
    wakes = 0
    for _ in range(10 * width):
        window.finish(begun(window), "A", LONG)
        taken(window)
        if window.is_low():
            wakes += 1
            while window.has_room:
                window.offer("a", 0)
    assert wakes == 10 * width // (STOCK * width - STOCK * width // 2)


def test_a_source_that_waits_for_its_items_is_woken_whenever_none_waits() -> None:
    window = filled_with(Window(depth=None, width=2), "a")
    assert not window.is_low()
    begun(window)
    assert window.is_low()


def test_items_with_a_deadline_do_not_wait_in_a_stock() -> None:
    window = Window(depth=None, width=2, deadline=LONG)
    window.is_live = False
    filled_with(window, "a")
    assert not window.has_room


def test_a_result_that_the_consumer_is_about_to_take_makes_room() -> None:
    window = filled_with(Window(depth=1, width=1), "a")
    window.finish(begun(window), "A", LONG)
    assert not window.is_low()
    assert window.is_low(taken=1)


def test_the_latest_item_replaces_the_one_that_waits() -> None:
    window = filled_with(Window(depth=1, width=1, latest=True), "a")
    a = begun(window)
    filled_with(window, "bcd")
    assert window.has_room
    assert window.begin(0) is None
    window.finish(a, "A", LONG)
    assert window.begin(0) is None  # its result has its place until the consumer takes it
    assert taken(window) == ["A"]
    d = begun(window)
    assert (d.value, d.number) == ("d", 3)
    assert window.statistics() == StreamStatistics(taken=4, delivered=1, left_out=2, late=0, failed=0)


def test_the_last_item_is_not_left_out() -> None:
    window = filled_with(Window(depth=1, width=1, latest=True), "ab")
    window.end(None)
    assert not window.is_over
    window.finish(begun(window), "B", LONG)
    assert taken(window) == ["B"]
    assert window.is_over


def test_items_that_have_waited_longer_than_the_deadline_are_dropped_before_they_begin() -> None:
    window = Window(depth=4, width=1, deadline=100)
    for i, value in enumerate("abcd"):
        window.offer(value, 50 * i)
    assert begun(window, now=160).value == "c"
    assert window.statistics() == StreamStatistics(taken=4, delivered=0, left_out=0, late=2, failed=0)


def test_a_failure_comes_after_the_results_before_it_and_ends_the_stream() -> None:
    window = filled_with(Window(depth=4, width=3), "abcd")
    a, b, c = (begun(window) for _ in range(3))
    failure = Failure(LookupError("mine"))
    window.finish(b, failure, LONG, failed=True)
    assert window.ended
    assert not window.waiting
    window.finish(c, "C", LONG)
    window.finish(a, "A", LONG)
    assert taken(window) == ["A", failure, "C"]
    assert window.statistics().failed == 1


def test_an_aborted_stream_gives_what_is_ready_and_then_the_error() -> None:
    window = filled_with(Window(depth=4, width=2), "abc")
    a, b = begun(window), begun(window)
    window.finish(a, "A", LONG)
    error = LookupError("gone")
    window.abort(error)
    window.finish(b, "B", LONG)
    assert taken(window) == ["A"]
    assert window.is_over
    assert window.error is error
    assert window.in_progress == 0


def test_results_that_the_consumer_leaves_are_not_counted_as_delivered() -> None:
    window = filled_with(Window(depth=4, width=2), "ab")
    for item in (begun(window), begun(window)):
        window.finish(item, item.value, LONG)
    window.ready.popleft()
    window.leave()
    assert window.statistics().delivered == 1
