"""When requests are batched, in which sizes, and when that does not pay: the policy, without threads and clocks."""

from __future__ import annotations

import pytest

from webnn.scheduler.batching import (
    APART,
    APART_STILL,
    BETWEEN,
    CHEAP,
    LONELY,
    REST,
    RETRY,
    SAMPLES,
    STEP,
    WANTED,
    Batching,
    BatchingFigures,
    sizes_up_to,
)


def in_company(alone: float = 100.0, max_batch: int = 32) -> Batching:
    policy = Batching(max_batch)
    policy.cheap = policy.between = 0
    policy.meets_company(alone)
    for _ in range(SAMPLES):
        policy.measured(1, alone)
    return policy


def measure(policy: Batching, size: int, nanoseconds: float) -> None:
    policy.compiled(size)
    for _ in range(SAMPLES):
        policy.measured(size, nanoseconds)


def paying() -> Batching:
    policy = in_company()
    assert policy.gathered(32) == 8
    measure(policy, 8, 160)
    return policy


def test_each_size_is_four_times_the_next_smaller_one() -> None:
    assert sizes_up_to(32) == (2, 8, 32)
    assert sizes_up_to(64) == (4, 16, 64)
    assert sizes_up_to(2) == (2,)
    assert sizes_up_to(7) == (2, 7)


def test_requests_are_alone_until_they_meet_company() -> None:
    policy = Batching(32)
    assert not policy.gathers
    policy.meets_company(1e6)
    assert policy.gathers


def test_requests_that_cost_next_to_nothing_are_not_gathered() -> None:
    policy = Batching(32)
    policy.meets_company(CHEAP / 2)
    assert not policy.gathers
    assert policy.rests()


def test_requests_that_turn_out_to_cost_next_to_nothing_are_gathered_no_longer() -> None:
    policy = Batching(32)
    policy.meets_company(float("inf"))
    for _ in range(SAMPLES):
        policy.measured(1, CHEAP / 2)
    assert policy.gathered(32) is None
    assert not policy.gathers
    assert policy.pays is False


def test_requests_are_alone_again_after_batches_of_one() -> None:
    policy = in_company()
    for _ in range(LONELY - 1):
        policy.gathered(1)
    policy.gathered(2)
    for _ in range(LONELY - 1):
        policy.gathered(1)
    assert policy.gathers
    policy.gathered(1)
    assert not policy.gathers


def test_a_middle_size_is_compiled_first_and_measured_before_it_is_judged() -> None:
    policy = in_company()
    assert policy.gathered(32) == 8
    assert policy.gathered(32) is None, "one at a time"
    assert policy.choose(32) == 1
    policy.compiled(8)
    for _ in range(SAMPLES):
        assert policy.choose(32) == 8, "it has to be measured"
        policy.measured(8, 160)
    assert policy.pays


def test_requests_in_a_batch_share_the_time_between_runs() -> None:
    policy = in_company(45_000)
    policy.between = BETWEEN
    assert policy.gathered(32) == 8
    measure(policy, 8, 8 * 40_000)  # nearly as long for each as alone
    assert policy.pays
    for _ in range(WANTED):
        policy.gathered(32)
    measure(policy, 32, 32 * 45_000)  # a little longer for each
    assert policy.choose(32) == 32
    slow = in_company(5_000_000)
    slow.between = BETWEEN
    assert slow.gathered(32) == 8
    measure(slow, 8, 8 * 4_500_000)
    assert not slow.pays


@pytest.mark.parametrize(("side_by_side", "pays"), [(float("inf"), True), (50.0, True), (20.0, None)])
def test_batches_must_be_faster_than_requests_side_by_side_too(side_by_side: float, pays: bool | None) -> None:
    policy = in_company()
    assert policy.gathered(32) == 8
    policy.side_by_side = side_by_side
    measure(policy, 8, 160)  # 20 for each, and 100 alone
    assert policy.pays is pays


def test_requests_run_side_by_side_first_if_it_is_not_known_how_long_that_takes() -> None:
    policy = Batching(32)
    policy.meets_company(1e6, compares=True)
    assert policy.is_apart
    assert not policy.gathers
    assert policy.rests()
    policy.compared()
    assert [policy.rests() for _ in range(APART_STILL + 1)] == [*[True] * APART_STILL, False]
    policy.meets_company(1e6)
    assert policy.gathers


def test_requests_that_were_gathered_before_their_cost_was_known_run_side_by_side_then() -> None:
    policy = Batching(32)
    policy.meets_company(float("inf"), compares=True)
    assert policy.gathers, "they may cost next to nothing"
    for _ in range(SAMPLES):
        policy.measured(1, 1e6)
    assert policy.gathered(32, compares=True) is None
    assert policy.is_apart
    assert not policy.gathers


def test_requests_do_not_go_on_side_by_side_if_that_cannot_be_measured() -> None:
    policy = Batching(32)
    policy.meets_company(1e6, compares=True)
    assert [policy.rests() for _ in range(APART + 1)] == [*[True] * APART, False]
    policy.meets_company(1e6, compares=True)
    assert policy.gathers


def test_the_largest_size_is_tried_first_if_all_are_small() -> None:
    assert in_company(max_batch=6).gathered(2) == 6


def test_other_sizes_are_compiled_once_they_were_wanted_often() -> None:
    policy = paying()
    assert [policy.gathered(20) for _ in range(WANTED + 1)] == [*[None] * (WANTED - 1), 32, None]
    assert [policy.gathered(2) for _ in range(WANTED)] == [*[None] * (WANTED - 1), 2]


def test_the_size_with_the_least_time_per_request_is_chosen_padding_included() -> None:
    policy = paying()
    policy.gathered(20)
    measure(policy, 32, 320)
    assert policy.choose(32) == 32
    assert policy.choose(20) == 32, "16 for each, where batches of 8 take 20"
    assert policy.choose(12) == 8, "27 for each in a batch of 32"
    assert policy.choose(2) == 8, "80 for each, and 100 alone"
    assert policy.choose(1) == 1


def test_of_sizes_that_take_about_as_long_per_request_the_largest_is_used() -> None:
    policy = paying()
    policy.gathered(20)
    measure(policy, 32, 600)
    policy.measured(8, 140)  # 17.5 for each, and 18.75 in a batch of 32
    assert policy.choose(32) == 32
    assert policy.choose(8) == 8, "75 for each in a batch of 32"
    policy.measured(8, 120)
    assert policy.choose(32) == 8, "15 for each"


def test_a_larger_size_that_gains_nothing_is_not_used() -> None:
    policy = paying()
    for wait in (RETRY, STEP * RETRY):
        measure(policy, 32, 640)
        assert policy.usable == {1, 8}
        assert policy.choose(32) == 8
        assert [policy.gathered(32) for _ in range(wait)] == [None] * wait
        assert [policy.gathered(32) for _ in range(WANTED)] == [*[None] * (WANTED - 1), 32], "tried again later"


def test_where_it_does_not_pay_a_smaller_size_is_tried_and_then_requests_run_alone() -> None:
    policy = in_company()
    assert policy.gathered(32) == 8
    measure(policy, 8, 800)
    assert policy.gathered(32) == 2
    measure(policy, 2, 190)
    assert policy.pays is False
    assert not policy.gathers
    assert policy.usable == {1}
    assert "does not pay" in policy.explained()


def test_it_is_tried_again_later_and_each_time_later() -> None:
    policy = in_company()
    for rest in (REST, STEP * REST):
        assert policy.gathered(32) == 8
        measure(policy, 8, 800)
        assert policy.gathered(32) == 2
        policy.failed(2)
        assert [policy.rests() for _ in range(rest + 1)] == [*[True] * rest, False]
        policy.meets_company(100)


def test_a_size_that_cannot_be_compiled_is_left_out() -> None:
    policy = in_company()
    assert policy.gathered(32) == 8
    policy.failed(8)
    assert policy.gathered(32) == 2
    measure(policy, 2, 100)
    assert policy.pays
    assert [policy.gathered(8) for _ in range(2 * WANTED)] == [None] * 2 * WANTED


def test_one_run_that_was_disturbed_moves_little() -> None:
    policy = paying()
    policy.measured(8, 1_000_000)
    assert policy.choose(8) == 8
    for _ in range(50):
        policy.measured(8, 1_000_000)
    assert policy.choose(8) == 1


def test_an_unknown_cost_alone_is_measured_first() -> None:
    policy = Batching(32)
    policy.cheap = 0
    policy.meets_company(float("inf"))
    for _ in range(SAMPLES):
        assert policy.gathered(4) is None
        assert policy.choose(4) == 1
        policy.measured(1, 100)
    assert policy.alone_cost == 100
    assert policy.gathered(4) == 8


def test_the_figures_count_graphs_for_which_it_does_not_pay() -> None:
    figures, policy = BatchingFigures(), in_company()
    figures.graphs.add(policy)
    assert figures.snapshot().unprofitable == 0
    assert figures.snapshot().mean_size != figures.snapshot().mean_size, "not a number"
    for _ in range(2):
        size = policy.gathered(32)
        assert size is not None
        policy.failed(size)
    figures.batches, figures.requests = 2, 9
    assert figures.snapshot().unprofitable == 1
    assert figures.snapshot().mean_size == pytest.approx(4.5)
