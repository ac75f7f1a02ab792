"""The backlog hands over what keeps the lanes busy, in order, and nothing of those who have left."""

from __future__ import annotations

import sys
from typing import Any

from webnn.serving.admission import Admission
from webnn.serving.backlog import ENOUGH, Backlog
from webnn.serving.exchanges import Exchange
from webnn.serving.memory import Memory
from webnn.serving.tensors import Call


class Rig:
    """A backlog for two lanes, and the requests that have begun."""

    def __init__(self, most: int = sys.maxsize) -> None:
        self.memory = Memory(most)
        self.backlog = Backlog(lanes=2, memory=self.memory)
        self.begun: list[Exchange] = []

    def model(self, pace: float, company: int = 0) -> Admission:
        """A model whose items take so many seconds."""
        admission = Admission(most=10_000, timeout=1e9, pace=pace)
        admission.company = company
        return admission

    def ask(self, admission: Admission, items: int = 1, connection: Any = None, answer: int = 0) -> Exchange:
        """A request for so many items, whose answer has so many bytes."""
        exchange = Exchange(None, 0.0, admission)
        exchange.answer = answer
        exchange.call = Call(None, {}, items, (), None)
        exchange.connection = connection
        if self.backlog.enter(exchange):
            self.begun.append(exchange)
        else:
            exchange.begin = lambda: self.begun.append(exchange)
        return exchange


class Client:
    has_left = False


def test_so_much_is_handed_over_as_keeps_the_lanes_busy_for_a_moment_and_the_rest_follows_in_its_order() -> None:
    rig = Rig()
    model = rig.model(ENOUGH / 8)
    asked = [rig.ask(model) for _ in range(20)]
    assert rig.begun == asked[:8]
    for i in range(12):
        rig.backlog.leave(asked[i])
        assert rig.begun == asked[: 9 + i]
    assert rig.backlog.items == model.handed == 8


def test_every_lane_has_a_long_run_and_one_more_waits_for_them_in_the_runtime() -> None:
    rig = Rig()
    model = rig.model(1.0)
    asked = [rig.ask(model) for _ in range(5)]
    assert rig.begun == asked[:3]
    rig.backlog.leave(asked[1])
    assert rig.begun == asked[:4]


def test_runs_that_are_gathered_have_company() -> None:
    rig = Rig()
    gathered, alone = rig.model(1.0, company=6), rig.model(1.0)
    asked = [rig.ask(gathered) for _ in range(8)]
    assert rig.begun == asked[:6]
    gathered.company = 0  # they do not pay
    other = rig.ask(alone)
    for each in asked[:4]:
        rig.backlog.leave(each)
    assert rig.begun == asked[:7]
    rig.backlog.leave(asked[4])
    rig.backlog.leave(asked[5])
    assert rig.begun == [*asked, other]


def test_a_request_of_many_items_begins_as_a_whole_and_none_passes_it() -> None:
    rig = Rig()
    model = rig.model(ENOUGH)
    first, many, last = rig.ask(model, 3), rig.ask(model, 100), rig.ask(model)
    assert rig.begun == [first]
    rig.backlog.leave(first)
    assert rig.begun == [first, many]
    assert rig.backlog.items == 100
    rig.backlog.leave(many)
    assert rig.begun == [first, many, last]


def test_those_whose_clients_have_left_are_passed_over() -> None:
    rig = Rig()
    model = rig.model(1.0)
    clients = [Client() for _ in range(10)]
    asked = [rig.ask(model, connection=client) for client in clients]
    for client in clients[:9]:
        client.has_left = True
    rig.backlog.leave(asked[0])
    assert rig.begun == [*asked[:3], asked[9]]
    for each in asked[1:]:
        rig.backlog.leave(each)
    assert rig.backlog.items == model.handed == 0
    assert len(rig.begun) == 4


def test_one_behind_those_who_have_left_waits_for_the_lanes_of_its_own_model() -> None:
    rig = Rig()
    alone, gathered = rig.model(1.0), rig.model(1.0, company=4)
    leaver = Client()
    begun = [rig.ask(alone) for _ in range(3)]
    first, _, last, later = rig.ask(alone), rig.ask(gathered, connection=leaver), rig.ask(alone), rig.ask(alone)
    leaver.has_left = True
    rig.backlog.leave(first)
    assert rig.begun == begun
    rig.backlog.leave(begun[0])
    assert rig.begun == [*begun, last]
    rig.backlog.leave(begun[1])
    assert rig.begun == [*begun, last, later]


def test_those_that_end_while_they_wait_are_forgotten() -> None:
    rig = Rig()
    model = rig.model(1.0)
    asked = [rig.ask(model) for _ in range(6)]
    rig.backlog.leave(asked[3])
    rig.backlog.leave(asked[4])
    assert rig.begun == asked[:3]
    rig.backlog.leave(asked[0])
    assert rig.begun == [*asked[:3], asked[5]]


def test_a_thousand_that_cannot_begin_are_no_deep_recursion() -> None:
    rig = Rig()
    model = rig.model(1.0)
    asked = [rig.ask(model) for _ in range(2000)]

    def fail(exchange: Exchange) -> None:
        rig.backlog.leave(exchange)

    for each in asked[3:]:
        each.begin = lambda each=each: fail(each)
    rig.backlog.leave(asked[0])
    assert rig.backlog.items == 2
    assert not rig.backlog._waiting


LARGE = 100_000


def test_a_run_waits_until_there_is_memory_for_its_answer_and_smaller_ones_do_not() -> None:
    rig = Rig(most=5 * LARGE)
    model = rig.model(0.0)
    large = [rig.ask(model, answer=LARGE) for _ in range(4)]
    small = rig.ask(model, answer=10)
    assert rig.begun == [*large[:2], small]
    assert rig.backlog.lacks_memory
    rig.backlog.leave(large[0])  # its run has ended, and its answer has not been taken
    assert rig.begun == [*large[:2], small]
    rig.memory.free(LARGE)
    assert rig.begun == [*large[:2], small, large[2]]
    rig.backlog.leave(large[3])  # its client has left
    assert not rig.backlog.lacks_memory
    for _ in range(2):
        rig.memory.free(LARGE)
    assert rig.begun == [*large[:2], small, large[2]]
    assert rig.memory.answers == 10


def test_what_waited_for_memory_comes_before_what_came_later_and_waits_for_the_lanes_as_well() -> None:
    rig = Rig(most=2 * LARGE)
    model = rig.model(1.0)
    first, second = rig.ask(model, answer=LARGE), rig.ask(model, answer=LARGE)
    others = [rig.ask(model) for _ in range(4)]
    assert rig.begun == [first, *others[:2]]
    rig.memory.free(LARGE)
    assert rig.begun == [first, *others[:2]]
    rig.backlog.leave(first)
    assert rig.begun == [first, *others[:2], second]


def test_what_comes_to_its_turn_without_memory_lets_those_behind_it_pass() -> None:
    rig = Rig(most=2 * LARGE)
    model = rig.model(1.0)
    asked = [rig.ask(model, answer=answer) for answer in (LARGE, 0, 0, LARGE, LARGE, 0)]
    assert rig.begun == asked[:3]
    rig.backlog.leave(asked[1])
    assert rig.begun == [*asked[:3], asked[5]]
    rig.memory.free(LARGE)
    rig.backlog.leave(asked[0])
    assert rig.begun == [*asked[:3], asked[5], asked[3]]
