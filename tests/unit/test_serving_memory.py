"""Bodies and answers have a limit together."""

from __future__ import annotations

from webnn.serving.memory import SMALL, Memory


def test_bodies_and_answers_count_together() -> None:
    memory = Memory(10 * SMALL)
    memory.bodies = 6 * SMALL
    memory.keep(3 * SMALL)
    assert memory.used == 9 * SMALL
    assert memory.has_room_for_body(SMALL)
    assert not memory.has_room_for_body(SMALL + 1)


def test_large_answers_get_half_and_small_ones_the_rest() -> None:
    memory = Memory(10 * SMALL)
    memory.keep(2 * SMALL)
    assert memory.has_room_for_answer(3 * SMALL)
    assert not memory.has_room_for_answer(3 * SMALL + 1)
    memory.keep(3 * SMALL)
    assert not memory.has_room_for_answer(SMALL + 1)
    assert memory.has_room_for_answer(SMALL)
    memory.bodies = 5 * SMALL
    assert not memory.has_room_for_answer(1)


def test_an_answer_alone_always_has_room() -> None:
    memory = Memory(10)
    memory.bodies = 10
    assert memory.has_room_for_answer(1000)


def test_it_tells_when_answers_have_become_less() -> None:
    memory, seen = Memory(), []
    memory.keep(5)
    memory.free(1)  # which nothing waits for
    memory.freed = lambda: seen.append(memory.answers)
    memory.free(0)
    memory.free(3)
    assert seen == [1]
