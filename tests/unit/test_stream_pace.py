"""How the source of a stream comes to its items, as told by the time that its steps take."""

from __future__ import annotations

import pytest

from webnn.runtime.streaming.pace import AT_HAND, MEMORY, Pace

LONG = 100 * AT_HAND
"""Nanoseconds of a step that was measured."""


def after(*steps: tuple[int, int]) -> Pace:
    pace = Pace()
    for elapsed, used in steps:
        pace.measured(elapsed, used)
    return pace


def test_a_source_counts_as_one_that_waits_until_several_steps_have_shown_otherwise() -> None:
    assert after().is_live
    assert after((AT_HAND // 10, 0)).is_live
    assert not after(*MEMORY * [(AT_HAND // 10, 0)]).is_live


@pytest.mark.parametrize(("used", "waits"), [(0, True), (LONG // 10, True), (LONG, False)])
def test_a_long_step_waits_or_computes_by_the_processor_time_that_it_uses(used: int, waits: bool) -> None:
    pace = after(*10 * [(LONG, used)])
    assert pace.is_live == waits
    assert pace.is_busy != waits


def test_items_at_hand_do_not_count_as_computed() -> None:
    assert not after(*10 * [(AT_HAND // 2, AT_HAND // 2)]).is_busy


def test_a_frame_in_the_buffer_of_a_camera_now_and_then_leaves_it_a_source_that_waits() -> None:
    pace = after(*10 * [(LONG, 0)])
    for _ in range(10):
        pace.measured(AT_HAND // 2, 0)
        pace.measured(LONG, 0)
        assert pace.is_live


def test_a_source_that_begins_to_wait_is_seen_within_a_few_steps() -> None:
    assert after(*10 * [(AT_HAND // 2, 0)], *3 * [(LONG, 0)]).is_live
