"""`context.record` and `context.replay`: what is recorded, what a replay does, and when dispatches are merged."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import trio

import webnn
from tests.scripted import Gate, double, filled, scripted_context
from tests.stepped import number_in
from webnn.backends.session_cache import session_cache
from webnn.errors import ContextLostError, InvalidStateError, OperationError, ValidationError
from webnn.runtime import record
from webnn.scheduler.results import Dispatch
from webnn.scheduler.width import Widths


def tensors(context: webnn.MLContext, count: int, shape: Sequence[int] = (4,)) -> list[webnn.MLTensor]:
    return [context.create_tensor(shape, "float32", readable=True, writable=True) for _ in range(count)]


def chain(context: webnn.MLContext, graph: webnn.MLGraph, names: Sequence[webnn.MLTensor]) -> webnn.Program:
    """A program that computes each tensor from the one before."""
    with context.record() as program:
        for x, y in pairwise(names):
            context.dispatch(graph, {"x": x}, {"y": y})
    return program


def read(context: webnn.MLContext, tensor: webnn.MLTensor) -> float:
    return number_in(context.read_tensor(tensor).result())


def compiled(context: webnn.MLContext) -> None:
    """Wait until the build lane has done everything that it was given."""
    done = threading.Event()
    assert context._device.build_lane.call(done.set)
    assert done.wait(10)


def merge(context: webnn.MLContext, program: webnn.Program) -> None:
    """Replay the program until its dispatches are merged."""
    for _ in range(record.MEASURED):
        context.replay(program).finished().result()
    for graph in program._graphs:
        graph._work.cost = 1000  # on a busy machine it may be measured as expensive
    context.replay(program).finished().result()
    compiled(context)


# Recording.


def test_dispatches_in_the_block_are_recorded_and_not_run(context: webnn.MLContext) -> None:
    names = tensors(context, 3)
    context.write_tensor(names[0], filled(1))
    program = chain(context, double(context), names)
    assert len(program) == program.tasks == 2
    assert [read(context, name) for name in names] == [1, 0, 0]
    context.replay(program)
    assert [read(context, name) for name in names] == [1, 2, 4]


def test_a_replay_uses_the_values_of_its_time(context: webnn.MLContext) -> None:
    names = tensors(context, 3)
    program = chain(context, double(context), names)
    for number in range(5):
        context.write_tensor(names[0], filled(number))
        context.replay(program)
        result = context.read_tensor(names[2])
        context.write_tensor(names[0], filled(99))
        assert number_in(result.result()) == 4 * number


def test_a_tensor_that_is_read_and_overwritten_carries_its_value_to_the_next_replay(context: webnn.MLContext) -> None:
    a, b = tensors(context, 2)
    context.write_tensor(a, filled(1))
    program = chain(context, double(context), [a, b, a])
    for _ in range(record.MEASURED + 5):
        context.replay(program)
        compiled(context)
    assert read(context, a) == 4 ** (record.MEASURED + 5)
    assert read(context, b) == read(context, a) / 2


def test_recorded_dispatches_are_checked_as_usual(context: webnn.MLContext) -> None:
    (x,) = tensors(context, 1)
    with context.record() as program, pytest.raises(ValidationError, match="dispatch: missing 'y' among the outputs"):
        context.dispatch(double(context), {"x": x}, {})
    assert len(program) == 0


def test_a_recorded_dispatch_can_be_awaited_but_has_no_end(context: webnn.MLContext) -> None:
    names = tensors(context, 2)

    async def record() -> Dispatch:
        with context.record():
            return await context.dispatch(double(context), {"x": names[0]}, {"y": names[1]})

    handle = asyncio.run(record())
    assert repr(handle) == "<Dispatch recorded>"
    with pytest.raises(InvalidStateError, match=r"recorded, not queued: wait for context.replay\(program\)"):
        handle.finished()


@pytest.mark.parametrize("call", ["write_tensor", "read_tensor", "run", "compute", "stream"])
def test_other_work_in_the_block_is_refused(context: webnn.MLContext, call: str) -> None:
    graph, (x,) = double(context), tensors(context, 1)
    calls: dict[str, Callable[[], Any]] = {
        "write_tensor": lambda: context.write_tensor(x, filled(1)),
        "read_tensor": lambda: context.read_tensor(x),
        "run": lambda: context.run(graph, {"x": filled(1)}),
        "compute": lambda: context.compute(graph, {"x": filled(1)}),
        "stream": lambda: context.stream(graph, []),
    }
    with context.record(), pytest.raises(InvalidStateError, match=f"{call}: in a block of record.*only dispatches"):
        calls[call]()
    calls[call]()


def test_another_thread_dispatches_as_usual_meanwhile(context: webnn.MLContext) -> None:
    graph, names = double(context), tensors(context, 2)
    results = []

    def dispatch() -> None:
        context.write_tensor(names[0], filled(3))
        context.dispatch(graph, {"x": names[0]}, {"y": names[1]})
        results.append(read(context, names[1]))

    with context.record() as program:
        thread = threading.Thread(target=dispatch)
        thread.start()
        thread.join()
    assert results == [6]
    assert len(program) == 0


def test_another_task_dispatches_as_usual_meanwhile(context: webnn.MLContext) -> None:
    graph, names = double(context), tensors(context, 3)

    async def other() -> float:
        context.write_tensor(names[0], filled(3))
        context.dispatch(graph, {"x": names[0]}, {"y": names[1]})
        return number_in(await context.read_tensor(names[1]))

    async def main() -> webnn.Program:
        with context.record() as program:
            context.dispatch(graph, {"x": names[1]}, {"y": names[2]})
            assert await asyncio.create_task(other()) == 6  # it inherits the context variables of this task
        return program

    assert len(asyncio.run(main())) == 1


def test_another_task_of_trio_dispatches_as_usual_meanwhile(context: webnn.MLContext) -> None:
    graph, names = double(context), tensors(context, 2)
    results = []

    async def other() -> None:
        context.write_tensor(names[0], filled(3))
        context.dispatch(graph, {"x": names[0]}, {"y": names[1]})
        results.append(number_in(await context.read_tensor(names[1])))

    async def main() -> webnn.Program:
        with context.record() as program:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(other)
            context.dispatch(graph, {"x": names[0]}, {"y": names[1]})
        return program

    assert len(trio.run(main)) == 1
    assert results == [6]


def test_two_tasks_record_two_programs_at_once(context: webnn.MLContext) -> None:
    graph, names = double(context), tensors(context, 4)

    async def one(count: int) -> webnn.Program:
        with context.record() as program:
            for i in range(count):
                context.dispatch(graph, {"x": names[i]}, {"y": names[i + 1]})
                await asyncio.sleep(0)
        return program

    async def main() -> list[int]:
        return [len(program) for program in await asyncio.gather(one(2), one(3))]

    assert asyncio.run(main()) == [2, 3]


def test_a_block_concerns_only_its_own_context(context: webnn.MLContext) -> None:
    with webnn.ML().create_context(backend="arrays") as other:
        with context.record() as program:
            assert other.compute(double(other), {"x": filled(2)})["y"][0] == 4
        assert len(program) == 0


def test_a_block_inside_another_one_is_refused(context: webnn.MLContext) -> None:
    with context.record() as program:
        with pytest.raises(InvalidStateError, match="is recording already; end that block first"), context.record():
            pass
        names = tensors(context, 2)
        context.dispatch(double(context), {"x": names[0]}, {"y": names[1]})
    assert len(program) == 1


def test_a_program_is_recorded_once(context: webnn.MLContext) -> None:
    with context.record() as program:
        pass
    with pytest.raises(InvalidStateError, match="was recorded before; make another one"), program:
        pass


def test_a_replay_inside_a_block_adds_the_dispatches_of_the_program(context: webnn.MLContext) -> None:
    names = tensors(context, 4)
    graph = double(context)
    inner = chain(context, graph, names[:3])
    with context.record() as program:
        context.replay(inner)
        context.dispatch(graph, {"x": names[2]}, {"y": names[3]})
    context.write_tensor(names[0], filled(1))
    context.replay(program)
    assert read(context, names[3]) == 8


def test_a_program_that_is_not_complete_is_refused(context: webnn.MLContext) -> None:
    with context.record() as program:
        with pytest.raises(InvalidStateError, match="replay: the program is still being recorded; replay it after"):
            context.replay(program)
        assert repr(program) == "<Program of 0 dispatches, not complete>"
    with pytest.raises(ZeroDivisionError), context.record() as program:
        raise ZeroDivisionError
    with pytest.raises(InvalidStateError, match="replay: the program was not recorded completely"):
        context.replay(program)
    assert not context._recordings


# Replaying.


def test_an_empty_program_does_nothing(context: webnn.MLContext) -> None:
    with context.record() as program:
        pass
    assert context.replay(program).finished().result() is None


def test_dispatches_whose_results_are_overwritten_unread_are_never_queued(context: webnn.MLContext) -> None:
    graph, (a, b, c) = double(context), tensors(context, 3)
    with context.record() as program:
        context.dispatch(graph, {"x": a}, {"y": c})
        context.dispatch(graph, {"x": b}, {"y": c})
    assert (len(program), program.tasks) == (2, 1)
    context.write_tensor(b, filled(5))
    context.replay(program)
    assert read(context, c) == 10


def test_a_value_that_is_overwritten_after_it_was_read_is_still_computed(context: webnn.MLContext) -> None:
    graph, (a, b, c) = double(context), tensors(context, 3)
    with context.record() as program:
        context.dispatch(graph, {"x": a}, {"y": b})
        context.dispatch(graph, {"x": b}, {"y": c})
        context.dispatch(double(context, times=3), {"x": a}, {"y": b})
    for number in range(2 * record.MEASURED):
        context.write_tensor(a, filled(number))
        context.replay(program)
        assert (read(context, b), read(context, c)) == (3 * number, 4 * number)
        compiled(context)
    assert program.tasks == 1


def test_a_program_may_be_replayed_from_any_thread(context: webnn.MLContext) -> None:
    names = tensors(context, 3)
    context.write_tensor(names[0], filled(1))
    program = chain(context, double(context), [*names, names[0]])
    threads = [threading.Thread(target=lambda: [context.replay(program) for _ in range(3)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(context, names[0]) == 8.0**12


def test_a_replay_waits_for_graphs_that_are_still_compiled() -> None:
    gate = Gate()
    context, _ = scripted_context(on_compile=gate)
    with context:
        names = tensors(context, 3)
        context.write_tensor(names[0], filled(1))
        program = chain(context, double(context), names)
        context.replay(program)
        result = context.read_tensor(names[2])
        gate.open()
        assert number_in(result.result()) == 4


@pytest.mark.parametrize("replays", [0, record.MEASURED + 1])
def test_a_program_with_a_destroyed_tensor_is_refused_and_nothing_is_queued(
    context: webnn.MLContext, replays: int
) -> None:
    names = tensors(context, 4)
    program = chain(context, double(context), names)
    for _ in range(replays):
        context.replay(program).finished().result()
    compiled(context)
    names[2].destroy()
    context.write_tensor(names[0], filled(7))
    with pytest.raises(
        ValidationError, match=r"replay: <MLTensor float32 \[4\] \(destroyed\)>, which the program uses"
    ):
        context.replay(program)
    assert read(context, names[1]) == 0
    assert context.statistics().queued == 0


@pytest.mark.parametrize("replays", [0, record.MEASURED + 1])
def test_a_program_with_a_destroyed_graph_is_refused_and_gives_its_compiled_graphs_back(
    context: webnn.MLContext, replays: int
) -> None:
    names = tensors(context, 3)
    graph = double(context)
    program = chain(context, graph, names)
    for _ in range(replays):
        context.replay(program).finished().result()
    compiled(context)
    graph.destroy()
    with pytest.raises(InvalidStateError, match=r"replay: <MLGraph .* which the program runs, was destroyed"):
        context.replay(program)
    assert all(fused.graph._destroyed for fused in program._fused)
    assert bool(program._fused) == bool(replays)


def test_a_program_of_a_lost_context_is_refused() -> None:
    context = webnn.ML().create_context(backend="arrays")
    names = tensors(context, 3)
    program = chain(context, double(context), names)
    context.destroy()
    with pytest.raises(ContextLostError, match=r"destroy\(\) was called"):
        context.replay(program)
    with pytest.raises(ContextLostError, match=r"destroy\(\) was called"):
        context.record()


def test_a_program_of_another_context_and_other_objects_are_refused(context: webnn.MLContext) -> None:
    with webnn.ML().create_context(backend="arrays") as other:
        program = chain(other, double(other), tensors(other, 2))
        with pytest.raises(ValidationError, match="replay: <Program of 1 dispatches in 1 tasks> belongs to another"):
            context.replay(program)
    with pytest.raises(ValidationError, match=r"replay: expected a Program, as context.record\(\) makes it, got list"):
        context.replay([])  # type: ignore[arg-type]


def test_a_program_keeps_its_graphs_and_tensors(context: webnn.MLContext) -> None:
    x, y = tensors(context, 2)
    with context.record() as program:
        middle = tensors(context, 1)[0]
        context.dispatch(double(context), {"x": x}, {"y": middle})
        context.dispatch(double(context, times=3), {"x": middle}, {"y": y})
        watch = weakref.ref(middle)
        del middle
    gc.collect()
    context.write_tensor(x, filled(1))
    context.replay(program)
    assert read(context, y) == 6
    del program
    gc.collect()
    assert watch() is None


def test_a_program_is_freed_with_what_was_compiled_for_it(context: webnn.MLContext) -> None:
    program = chain(context, double(context), tensors(context, 3))
    merge(context, program)
    graph = weakref.ref(program._fused[0].graph)
    del program
    gc.collect()
    assert graph() is None


# Merging.


def test_cheap_dispatches_are_merged_after_the_first_replays(context: webnn.MLContext) -> None:
    names = tensors(context, 6)
    program = chain(context, double(context), names)
    context.write_tensor(names[0], filled(1))
    for _ in range(record.MEASURED):
        context.replay(program).finished().result()
    compiled(context)
    assert program.tasks == 5
    merge(context, program)
    assert program.tasks == 1
    assert repr(program) == "<Program of 5 dispatches in 1 tasks>"
    before = context.statistics()
    context.write_tensor(names[0], filled(3))
    context.replay(program)
    assert [read(context, name) for name in names] == [3, 6, 12, 24, 48, 96]
    after = context.statistics()
    assert after.run_inline + after.run_on_lanes == before.run_inline + before.run_on_lanes + 1


def test_programs_are_replayed_one_by_one_while_the_merged_graph_is_compiled() -> None:
    gate = Gate()
    gates: Iterator[Callable[[], None]] = iter([lambda: None, gate])
    context, backend = scripted_context(on_compile=lambda _: next(gates)())
    with context:
        names = tensors(context, 3)
        program = chain(context, double(context), names)
        for number in range(record.MEASURED + 3):
            context.write_tensor(names[0], filled(number))
            context.replay(program)
            assert read(context, names[2]) == 4 * number
        assert gate.reached.wait(10)
        assert program.tasks == 2
        gate.open()
        compiled(context)
        assert program.tasks == 1
        assert backend.compiled == 2
        context.replay(program)
        assert read(context, names[2]) == 4 * number


def test_a_merged_graph_that_cannot_be_compiled_leaves_the_program_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    answers: Iterator[Callable[[], None]] = iter([lambda: None, lambda: fail("no merging here")])
    context, _ = scripted_context(on_compile=lambda _: next(answers)())
    with context:
        names = tensors(context, 3)
        program = chain(context, double(context), names)
        merge(context, program)
        assert program.tasks == 2
        context.write_tensor(names[0], filled(1))
        for _ in range(record.TRIED + 3):
            context.replay(program)
            assert read(context, names[2]) == 4
    (logged,) = caplog.messages
    assert "dispatches cannot be compiled together, and are replayed singly: no merging here" in logged


def fail(message: str) -> None:
    raise OperationError(message)


def test_equal_programs_share_what_is_compiled(context: webnn.MLContext) -> None:
    graph = double(context, times=7)
    first = chain(context, graph, tensors(context, 4))
    merge(context, first)
    before = session_cache.statistics
    second = chain(context, graph, tensors(context, 4))
    merge(context, second)
    assert session_cache.statistics.hits == before.hits + 1
    assert second.tasks == 1


def test_expensive_dispatches_are_left_alone() -> None:
    context, _ = scripted_context()
    with context:
        names = tensors(context, 6)
        cheap, dear = double(context), double(context, times=3)
        with context.record() as program:
            for x, y in pairwise(names):
                context.dispatch(dear if y is names[3] else cheap, {"x": x}, {"y": y})
        context.write_tensor(names[0], filled(1))
        context.replay(program)
        assert read(context, names[5]) == 48
        cheap._work.cost, dear._work.cost = 1000, 10 * record.FUSED_COST
        for _ in range(record.DOUBTED):
            dear._work.cost = 10 * record.FUSED_COST
            context.replay(program)
        compiled(context)
        assert program.tasks == 3
        context.replay(program)
        assert [read(context, name) for name in names] == [1, 2, 4, 12, 24, 48]


def test_branches_that_have_nothing_in_common_are_merged_each_on_its_own(context: webnn.MLContext) -> None:
    graph, names, others = double(context), tensors(context, 3), tensors(context, 3)
    with context.record() as program:
        for i in range(2):
            context.dispatch(graph, {"x": names[i]}, {"y": names[i + 1]})
            context.dispatch(graph, {"x": others[i]}, {"y": others[i + 1]})
    merge(context, program)
    assert program.tasks == 2
    context.write_tensor(names[0], filled(1))
    context.write_tensor(others[0], filled(3))
    context.replay(program)
    assert (read(context, names[2]), read(context, others[2])) == (4, 12)


def test_an_error_reaches_only_what_depends_on_it_when_an_input_has_failed_before() -> None:
    errors: list[str] = []
    context, _ = scripted_context(on_run=lambda: fail(errors.pop()) if errors else None)
    with context:
        graph, (bad, x, y, z) = double(context), tensors(context, 4)
        builder = context.create_graph_builder()
        a, b = builder.input("a", [4], "float32"), builder.input("b", [4], "float32")
        add = builder.build({"sum": builder.add(a, b)})
        with context.record() as program:
            context.dispatch(graph, {"x": x}, {"y": y})
            context.dispatch(add, {"a": y, "b": bad}, {"sum": z})
        merge(context, program)
        assert program.tasks == 1
        errors.append("it broke")
        context.dispatch(graph, {"x": y}, {"y": bad})
        with pytest.raises(OperationError, match="it broke"):
            context.read_tensor(bad).result()
        context.write_tensor(x, filled(4))
        context.replay(program)
        assert read(context, y) == 8
        with pytest.raises(OperationError, match="it broke"):
            context.read_tensor(z).result()
        assert program.tasks == 1


def test_a_merged_run_that_fails_ends_the_merging(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[str] = []
    context, _ = scripted_context(on_run=lambda: fail(errors.pop()) if errors else None)
    with context:
        names = tensors(context, 3)
        program = chain(context, double(context), names)
        merge(context, program)
        errors.append("it broke")
        context.replay(program)
        with pytest.raises(OperationError, match="it broke"):
            context.read_tensor(names[1]).result()
        context.write_tensor(names[0], filled(1))
        context.replay(program)
        assert program.tasks == 2
        assert [read(context, name) for name in names] == [1, 2, 4]
    (logged,) = caplog.messages
    assert "dispatches are no longer run together, since a run of them failed" in logged


@pytest.mark.parametrize(("limit", "tasks"), [(0.0, 2), (1e12, 1)])
def test_a_merged_graph_that_is_slower_than_the_single_ones_is_given_up(
    context: webnn.MLContext, limit: float, tasks: int
) -> None:
    program = chain(context, double(context), tensors(context, 3))
    merge(context, program)
    program._fused[0].limit = limit
    for _ in range(record.TRIED + 1):
        assert program.tasks == 1
        context.replay(program).finished().result()
    assert program.tasks == tasks
    assert program._stage is record.SETTLED
    assert len(program._fused) == 2 - tasks


def test_a_merged_graph_that_has_never_run_is_not_judged(context: webnn.MLContext) -> None:
    program = chain(context, double(context), tensors(context, 3))
    merge(context, program)
    program._fused[0].work.total = float("inf")
    program._advance()
    program._replays = 10 * record.TRIED
    program._advance()
    assert (program.tasks, program._stage) == (1, record.TRYING)


def test_programs_whose_results_are_never_read_are_not_merged(context: webnn.MLContext) -> None:
    program = chain(context, double(context), tensors(context, 3))
    for _ in range(record.MEASURED + 2):
        program._advance()
    assert program._stage is record.MEASURING


def test_the_end_of_the_context_ends_the_merging() -> None:
    gate = Gate()
    answers: Iterator[Callable[[], None]] = iter([lambda: None, gate])
    context, _ = scripted_context(on_compile=lambda _: next(answers)())
    program = chain(context, double(context), tensors(context, 3))
    for _ in range(record.MEASURED + 1):
        context.replay(program).finished().result()
    assert gate.reached.wait(10)
    context.destroy()
    gate.open()
    with pytest.raises(ContextLostError):
        context.replay(program)


def test_merged_values_have_the_same_memory_in_each_replay(context: webnn.MLContext) -> None:
    names = tensors(context, 5, (2048,))
    program = chain(context, double(context, (2048,)), names)
    merge(context, program)
    places = set()
    for _ in range(6):
        context.replay(program).finished().result()
        places.add(tuple(id(value.view) for name in names[1:] if (value := name._name.value) is not None))
    assert len(places) <= 2


def test_values_that_no_tensor_means_need_no_memory(context: webnn.MLContext) -> None:
    graph, (a, b) = double(context, (2048,)), tensors(context, 2, (2048,))
    program = chain(context, graph, [a, b, a, b, a])
    merge(context, program)
    assert [len(part.outputs) for part in program._fused] == [2]


def test_the_numbers_of_a_program_stay_what_they_are_when_it_is_merged(context: webnn.MLContext) -> None:
    generator = np.random.default_rng(0)
    builder = context.create_graph_builder()
    x = builder.input("x", [1, 32], "float32")
    weight = builder.constant(generator.standard_normal((32, 32), np.float32))
    graph = builder.build({"y": builder.tanh(builder.matmul(x, weight))})
    names = tensors(context, 5, (1, 32))
    program = chain(context, graph, names)
    context.write_tensor(names[0], generator.standard_normal((1, 32), np.float32))
    context.replay(program)
    expected = [context.read_tensor(name).result().copy() for name in names]
    merge(context, program)
    context.replay(program)
    for name, array in zip(names, expected, strict=True):
        np.testing.assert_array_equal(context.read_tensor(name).result(), array)


@pytest.mark.parametrize(("given", "threads"), [(0, 1), (3, 3)])
def test_merged_graphs_are_compiled_for_one_thread_unless_the_context_says_otherwise(given: int, threads: int) -> None:
    with webnn.ML().create_context(backend="arrays", threads=given) as context:
        program = chain(context, double(context), tensors(context, 3))
        merge(context, program)
        assert program._fused[0].graph._options.threads == threads


def test_a_dispatch_that_seemed_expensive_is_looked_at_again(context: webnn.MLContext) -> None:
    graph = double(context)
    program = chain(context, graph, tensors(context, 3))
    graph._work.cost = record.FUSED_COST  # as on a busy machine
    program._replays = record.MEASURED
    program._advance()
    compiled(context)
    assert (program.tasks, program._stage) == (2, record.MEASURING)
    graph._work.cost = 1000
    program._advance()
    compiled(context)
    assert program.tasks == 1


def test_a_dispatch_that_is_expensive_is_left_alone_in_the_end(context: webnn.MLContext) -> None:
    graph = double(context)
    program = chain(context, graph, tensors(context, 3))
    graph._work.cost = record.FUSED_COST
    for _ in range(record.DOUBTED):
        program._advance()
    assert program._stage is record.MEASURING
    program._advance()
    compiled(context)
    assert (program.tasks, program._stage) == (2, record.SETTLED)


def test_dispatches_with_several_threads_are_left_alone(context: webnn.MLContext) -> None:
    graph = double(context)
    program = chain(context, graph, tensors(context, 3))
    graph._work.cost, graph._work.widths = 1000, Widths(lambda _: None)
    program._replays = record.DOUBTED
    program._advance()
    compiled(context)
    assert (program.tasks, program._stage) == (2, record.SETTLED)
