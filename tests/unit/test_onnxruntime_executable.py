"""Runs of a compiled session: each combination of buffers is bound once, and bindings are never shared or hoarded."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any, Final

import numpy as np
import pytest

import webnn
from webnn.backends.onnxruntime import executable as module
from webnn.backends.onnxruntime import native
from webnn.backends.onnxruntime.executable import OnnxRuntimeExecutable
from webnn.errors import OperationError
from webnn.memory.buffer import View
from webnn.scheduler.execution import LONG

REAL: Final[Any] = native.SessionIOBinding


class CountedBinding:
    """An io-binding that counts what is bound, and notes which one runs."""

    bound = 0
    made = 0

    def __init__(self, session: CountedSession) -> None:
        type(self).made += 1
        self.io = REAL(session.real)

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        type(self).bound += 1
        self.io.bind_ortvalue_input(name, value)

    def bind_ortvalue_output(self, name: str, value: Any) -> None:
        type(self).bound += 1
        self.io.bind_ortvalue_output(name, value)


class CountedSession:
    """A session that takes counted bindings, and calls `during` in each run."""

    def __init__(self, session: Any) -> None:
        self.real = session
        self.during: Any = None
        self.used: list[object] = []

    def run_with_iobinding(self, io: CountedBinding, options: object) -> None:
        self.used.append(io)
        if self.during is not None:
            self.during()
        self.real.run_with_iobinding(io.io, options)


@pytest.fixture
def executable(monkeypatch: pytest.MonkeyPatch) -> Iterator[OnnxRuntimeExecutable]:
    """y = x + x, with counted bindings."""
    CountedBinding.bound = CountedBinding.made = 0
    with webnn.ML().create_context(backend="onnxruntime") as context:
        builder = context.create_graph_builder()
        x = builder.input("x", [4], "float32")
        graph = builder.build({"y": builder.add(x, x)})
        assert context.compute(graph, {"x": np.ones(4, np.float32)})["y"][0] == 2
        found = graph._work.executable
        assert isinstance(found, OnnxRuntimeExecutable)
        counted = OnnxRuntimeExecutable(
            found.inputs,
            found.outputs,
            session=CountedSession(found.session),
            input_names=found.input_names,
            output_names=found.output_names,
        )
        monkeypatch.setattr(native, "SessionIOBinding", CountedBinding)
        yield counted


def view(number: float = 0) -> View:
    return View(None, np.full(4, number, np.float32))


def test_a_loop_that_alternates_buffers_binds_each_combination_once(executable: OnnxRuntimeExecutable) -> None:
    a, b, c = view(1), view(), view()
    for _ in range(3):
        executable.run([a], [b])
        executable.run([b], [c])
        executable.run([c], [a])
    assert a.array[0] == 8**3
    assert CountedBinding.bound == 6


def test_a_new_combination_rebinds_only_the_views_that_differ(
    executable: OnnxRuntimeExecutable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 1)
    a, b, c = view(1), view(), view()
    executable.run([a], [b])
    assert CountedBinding.bound == 2
    executable.run([a], [c])
    assert CountedBinding.bound == 3
    assert CountedBinding.made == 1
    assert c.array[0] == 2


def test_the_binding_that_was_not_used_for_longest_makes_room(
    executable: OnnxRuntimeExecutable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    a, b, c, d = view(1), view(), view(), view()
    executable.run([a], [b])
    executable.run([a], [c])
    executable.run([a], [b])  # now the one with c is the oldest
    executable.run([a], [d])
    bound = CountedBinding.bound
    executable.run([a], [b])
    assert CountedBinding.bound == bound
    assert len(executable._bindings) == CountedBinding.made == 2
    executable.run([a], [c])
    assert CountedBinding.bound == bound + 1
    assert c.array[0] == 2


def test_runs_at_once_have_bindings_of_their_own(executable: OnnxRuntimeExecutable) -> None:
    both = threading.Barrier(2, timeout=10)
    executable.session.during = both.wait
    a, outputs = view(3), [view(), view()]
    threads = [threading.Thread(target=executable.run, args=([a], [output])) for output in outputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [output.array[0] for output in outputs] == [6, 6]
    assert len(set(map(id, executable.session.used))) == 2


def test_a_view_whose_memory_is_new_is_bound_although_an_earlier_one_was_like_it(
    executable: OnnxRuntimeExecutable,
) -> None:
    output = view()
    for number in range(5):
        executable.run([view(number)], [output])
        assert output.array[0] == 2 * number


def test_a_binding_that_has_failed_is_not_used_again(executable: OnnxRuntimeExecutable) -> None:
    a, b = view(1), view()
    wrong = View(None, np.zeros(3, np.float32))
    with pytest.raises(OperationError, match="onnxruntime: "):
        executable.run([wrong], [b])
    assert not executable._bindings
    executable.run([a], [b])
    assert b.array[0] == 2


class TestEnding:
    def test_a_run_that_was_ended_before_it_began_fails_at_once_and_the_next_one_is_right(
        self, executable: OnnxRuntimeExecutable
    ) -> None:
        given, made = [view(1)], [view()]
        ending = executable.ending()
        ending.end()
        ending.end()
        with pytest.raises(CancelledError):
            executable.run_until(given, made, ending)
        executable.run(given, made)
        assert made[0].array[0] == 2
        executable.run_until([view(3)], made, executable.ending())
        assert made[0].array[0] == 6

    def test_the_end_of_a_run_that_has_ended_does_not_touch_the_next_one_with_its_binding(
        self, executable: OnnxRuntimeExecutable
    ) -> None:
        given, made = [view(1)], [view()]
        first, second = executable.ending(), executable.ending()
        executable.run_until(given, made, first)
        executable.session.during = first.end
        executable.run_until(given, made, second)
        assert (first.asked, second.asked) == (True, False)
        assert len(set(executable.session.used)) == 1

    def test_an_error_of_a_run_that_was_not_ended_is_one(self, executable: OnnxRuntimeExecutable) -> None:
        with pytest.raises(OperationError, match="onnxruntime"):
            executable.run_until([View(None, np.zeros(5, np.float32))], [view()], executable.ending())

    def test_a_long_run_ends_early(self) -> None:
        with webnn.ML().create_context(backend="onnxruntime") as context:
            graph = chain(context, 1000, 512)
            promise = context.run(graph, np.ones((512, 512), np.float32))
            while not context.statistics().running:
                time.sleep(0.001)
            promise.cancel()
            while context.statistics().running:
                time.sleep(0.001)
            statistics = context.statistics()
            assert statistics.drops == {"cancelled": 1}, "it has run to its end"
            assert statistics.graphs[0].runs == 0
            assert context.memory_info().in_use == 0

    def test_runs_that_go_on_beside_ended_ones_are_right(self) -> None:
        """Several threads run one graph, and give up about half of the runs at random times."""
        errors: list[BaseException] = []
        with webnn.ML().create_context(backend="onnxruntime") as context:
            graph = chain(context, 100, 64)
            data = [np.full((64, 64), i, np.float32) for i in range(4)]
            expected = [context.compute(graph, each)["y"].copy() for each in data]
            graph._work.cost = 10 * LONG  # so that short runs can be ended, too

            def use(seed: int) -> None:
                rng = random.Random(seed)
                try:
                    for _ in range(60):
                        i = rng.randrange(len(data))
                        promise = context.run(graph, data[i])
                        if rng.random() < 0.6:
                            time.sleep(rng.random() * 0.001)
                            promise.cancel()
                            graph._work.cost = 10 * LONG
                        else:
                            np.testing.assert_array_equal(promise.result()["y"], expected[i])
                except BaseException as error:
                    errors.append(error)

            threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert errors == []
            assert context.statistics().graphs[0].failed == 0
            assert context.statistics().drops["cancelled"] > 0


def chain(context: webnn.MLContext, length: int, size: int) -> webnn.MLGraph:
    """So many products of square matrices, one after the other."""
    builder = context.create_graph_builder()
    weights = builder.constant(np.full((size, size), 1 / size, np.float32))
    state = builder.input("x", [size, size], "float32")
    for _ in range(length):
        state = builder.tanh(builder.matmul(state, weights))
    return builder.build({"y": state})
