"""The second executable of a graph, for runs on one thread: when it is compiled, and what becomes of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import webnn
from tests.scripted import PATIENCE, Gate, ScriptedBackend, double, filled
from webnn.backends.base import Cancellation, CompileOptions, Executable
from webnn.backends.processors import usable_cores, usable_threads
from webnn.backends.session_cache import session_cache
from webnn.errors import OperationError
from webnn.graph.ir import Graph
from webnn.runtime.context import MLContext
from webnn.scheduler.trials import ALL, ALONE, BLOCK, ONE, RESTING, ROUNDS, SPACE, WAYS


class TwoWidthsBackend(ScriptedBackend):
    """Runs of its graphs take all cores, unless they are compiled for one thread, after `on_compile_narrow`."""

    def __init__(self, on_compile_narrow: Callable[[Cancellation], object] = lambda _: None) -> None:
        super().__init__()
        self.on_compile_narrow = on_compile_narrow
        self.done = threading.Event()
        """A compilation for one thread has ended."""

    def narrow_options(self, graph: Graph, options: CompileOptions) -> CompileOptions | None:
        return None if options.threads else replace(options, threads=1)

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        if not options.threads:
            return super().compile(graph, options, cancellation)
        try:
            self.on_compile_narrow(cancellation)
            return super().compile(graph, options, cancellation)
        finally:
            self.done.set()


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("webnn.runtime.device.usable_cores", lambda: 2)
    monkeypatch.setattr("webnn.runtime.device.runnable_threads", lambda: None)  # what else runs here is of no account
    yield
    session_cache.clear()


pytestmark = pytest.mark.usefixtures("two_cores")


def context_on(backend: TwoWidthsBackend, **options: Any) -> MLContext:
    return MLContext(backend, CompileOptions(), **{"lanes": 2, "memory_budget": None, **options})


def overlap(context: MLContext, graph: webnn.MLGraph) -> None:
    """Two runs at the same time: the second one is ready while the first is in progress."""
    reached, opened = threading.Event(), threading.Event()
    backend = context._device.backend
    assert isinstance(backend, TwoWidthsBackend)

    def hold() -> None:
        reached.set()
        assert opened.wait(PATIENCE)

    backend.on_run = hold
    first = context.run(graph, {"x": filled(1)})
    first.add_done_callback(lambda _: None)  # so that a lane runs it
    assert reached.wait(PATIENCE)
    second = context.run(graph, {"x": filled(2)})
    second.add_done_callback(lambda _: None)
    opened.set()
    assert (first.result()["y"] == filled(2)).all()
    assert (second.result()["y"] == filled(4)).all()
    backend.on_run = lambda: None


def compiled_narrow(context: MLContext, backend: TwoWidthsBackend) -> None:
    """Wait until the compilation for one thread has ended, and everything after it on the build thread."""
    assert backend.done.wait(PATIENCE)
    settled = threading.Event()
    assert context._device.build_lane.call(settled.set)
    assert settled.wait(PATIENCE)


def test_it_is_compiled_at_the_first_overlap_and_not_before() -> None:
    backend = TwoWidthsBackend()
    with context_on(backend) as context:
        graph = double(context)
        for _ in range(3):
            context.compute(graph, {"x": filled(1)})
        assert backend.compiled == 1
        overlap(context, graph)
        compiled_narrow(context, backend)
        assert backend.compiled == 2
        assert context.statistics().width.narrow == 0
        overlap(context, graph)
        assert context.statistics().width.narrow > 0
        assert backend.compiled == 2


def test_another_graph_finds_it_in_the_cache() -> None:
    backend = TwoWidthsBackend()
    with context_on(backend) as context:
        for _ in range(2):
            graph = double(context)
            overlap(context, graph)
            compiled_narrow(context, backend)
            graph.destroy()
        assert backend.compiled == 2


def test_it_is_released_with_its_graph() -> None:
    backend = TwoWidthsBackend()
    with context_on(backend) as context:
        graph = double(context)
        overlap(context, graph)
        compiled_narrow(context, backend)
        idle = session_cache.statistics.idle_bytes
        graph.destroy()
        compiled_narrow(context, backend)
        entries = session_cache.statistics.entries
        assert session_cache.statistics.idle_bytes > idle
        session_cache.clear()
        assert session_cache.statistics.entries <= entries - 2


def test_a_graph_that_is_destroyed_meanwhile_cancels_its_compilation() -> None:
    seen: list[Cancellation] = []
    gate = Gate()

    def compile_narrow(cancellation: Cancellation) -> None:
        seen.append(cancellation)
        cancellation.on_cancel(gate.open)
        gate()
        cancellation.checkpoint()

    backend = TwoWidthsBackend(compile_narrow)
    with context_on(backend) as context:
        graph = double(context)
        overlap(context, graph)
        assert gate.reached.wait(PATIENCE)
        graph.destroy()
        compiled_narrow(context, backend)
        assert seen[0].cancelled


def test_a_context_that_is_destroyed_meanwhile_cancels_the_compilation() -> None:
    gate = Gate()

    def compile_narrow(cancellation: Cancellation) -> None:
        cancellation.on_cancel(gate.open)
        gate()
        raise CancelledError

    backend = TwoWidthsBackend(compile_narrow)
    context = context_on(backend)
    overlap(context, double(context))
    assert gate.reached.wait(PATIENCE)
    context.destroy()
    assert backend.done.wait(PATIENCE)


def test_one_that_ends_after_its_graph_is_released_too() -> None:
    gate = Gate()
    backend = TwoWidthsBackend(gate)
    with context_on(backend) as context:
        graph = double(context)
        overlap(context, graph)
        assert gate.reached.wait(PATIENCE)
        narrow = graph._narrow
        assert narrow is not None
        narrow.release()
        gate.open()
        compiled_narrow(context, backend)
        assert narrow._used is None
        widths = graph._work.widths
        assert widths is not None
        assert widths.narrow is None


def test_a_graph_that_cannot_be_compiled_again_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Cancellation) -> None:
        raise OperationError("no kernel for one thread")

    backend = TwoWidthsBackend(fail)
    with context_on(backend) as context, caplog.at_level(logging.WARNING, "webnn"):
        graph = double(context)
        overlap(context, graph)
        compiled_narrow(context, backend)
        assert "no kernel for one thread" in caplog.text
        overlap(context, graph)
        statistics = context.statistics().width
        assert statistics.narrow == 0
        assert "but it could not be compiled for one thread: no kernel" in statistics.reason


def test_a_memory_budget_without_room_for_the_weights_forbids_it() -> None:
    backend = TwoWidthsBackend()
    with context_on(backend, memory_budget=1 << 20) as context:
        builder = context.create_graph_builder()
        weights = builder.constant(np.zeros((1 << 18, 4), np.float32))
        x = builder.input("x", [4], "float32")
        double_x = builder.add(builder.add(x, x), builder.reduce_sum(weights, axes=[0]))
        graph = builder.build({"y": double_x})
        for _ in range(2):
            overlap(context, graph)
        statistics = context.statistics().width
        assert (backend.compiled, statistics.narrow) == (1, 0)
        assert "the memory budget has no room" in statistics.reason


def test_threads_that_were_given_decide() -> None:
    backend = TwoWidthsBackend()
    with MLContext(backend, CompileOptions(threads=1), lanes=2, memory_budget=None) as context:
        graph = double(context)
        context.compute(graph, {"x": filled(1)})
        assert graph._work.widths is None
        assert context.statistics().width.reason == ""


class RestingBackend(TwoWidthsBackend):
    """Its threads can also rest between runs."""

    def __init__(self) -> None:
        super().__init__()
        self.resting: list[Executable] = []

    def resting_options(self, graph: Graph, options: CompileOptions) -> CompileOptions | None:
        return replace(options, resting=True)

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        executable = super().compile(graph, options, cancellation)
        if options.resting:
            self.resting.append(executable)
        return executable


def test_short_runs_get_an_executable_whose_threads_rest_which_is_released_with_the_graph() -> None:
    backend = RestingBackend()
    with context_on(backend) as context:
        graph = double(context)
        for _ in range(ALONE + 1):
            context.compute(graph, {"x": filled(1)})
        compiled_narrow(context, backend)
        widths, resting = graph._work.widths, graph._resting
        assert widths is not None
        assert resting is not None
        assert backend.compiled == 3
        assert [widths.resting] == backend.resting
        assert widths.ways == (ALL, RESTING, ONE)
        for _ in range(4 * ALONE):
            assert (context.compute(graph, {"x": filled(1)})["y"] == filled(2)).all()
        assert context.statistics().width.resting > 0
        graph.destroy()
        compiled_narrow(context, backend)
        assert resting._used is None


class TestOnnxRuntime:
    @staticmethod
    def convolution(context: MLContext, size: int) -> webnn.MLGraph:
        random = np.random.default_rng(5)
        builder = context.create_graph_builder()
        x = builder.input("x", [1, 8, size, size], "float32")
        filters = builder.constant(random.standard_normal((16, 8, 3, 3)).astype(np.float32))
        return builder.build({"y": builder.softmax(builder.conv2d(x, filters), axis=1)})

    def test_graphs_that_would_have_several_threads_get_one_for_one(self) -> None:
        with webnn.ML().create_context(backend="onnxruntime", lanes=2) as context:
            large, small = self.convolution(context, 64), self.convolution(context, 4)
            data = np.random.default_rng(6).standard_normal((1, 8, 64, 64)).astype(np.float32)
            wide = context.compute(large, {"x": data})["y"]
            context.compute(small, {"x": data[:, :, :4, :4]})
            assert small._work.widths is None
            widths = large._work.widths
            if usable_cores() == 1:
                assert widths is None
                return
            assert widths is not None
            widths.wanted = True
            widths.compile()
            settled = threading.Event()
            assert context._device.build_lane.call(settled.set)
            assert settled.wait(PATIENCE)
            assert widths.narrow is not None
            with context._timeline.width.piece(), context._timeline.width.piece():
                narrow = context.compute(large, {"x": data})["y"]
            assert context.statistics().width.narrow == 1
            np.testing.assert_array_almost_equal_nulp(wide, narrow, 4)

    @pytest.mark.skipif(usable_cores() == 1, reason="there is one core")
    def test_a_loop_of_short_runs_tries_all_ways_and_gets_the_same_results(self) -> None:
        with webnn.ML().create_context(backend="onnxruntime", lanes=2) as context:
            graph = self.convolution(context, 34)
            data = np.random.default_rng(6).standard_normal((1, 8, 34, 34)).astype(np.float32)
            first = context.compute(graph, {"x": data})["y"].copy()
            widths = graph._work.widths
            assert widths is not None
            widths.trials.wanted = widths.wanted = True
            widths.compile()
            settled = threading.Event()
            assert context._device.build_lane.call(settled.set)
            assert settled.wait(PATIENCE)
            widths.trials._begin(widths.ways)
            for _ in range(len(WAYS) * BLOCK * ROUNDS + SPACE * (ROUNDS - 1)):  # the longest that a trial can be
                np.testing.assert_array_almost_equal_nulp(context.compute(graph, {"x": data})["y"], first, 4)
            assert set(widths.trials.means) == {ALL, RESTING, ONE}


class TestUsableCores:
    def test_they_are_those_of_the_affinity_mask(self, tmp_path: Path) -> None:
        assert usable_cores(tmp_path) >= usable_cores() >= 1

    def test_two_hardware_threads_of_a_core_count_as_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 4, 6}, raising=False)
        for thread in range(8):
            siblings = f"{thread // 2 * 2}-{thread // 2 * 2 + 1}\n"
            self.write(tmp_path / f"sys/devices/system/cpu/cpu{thread}/topology/thread_siblings_list", siblings)
        assert usable_cores(tmp_path) == 4
        assert usable_threads(tmp_path) == 5

    @pytest.mark.parametrize(("quota", "cores"), [("150000 100000", 2), ("max 100000", 8), ("50000 100000", 1)])
    def test_the_quota_of_any_group_on_the_way_limits_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
    ) -> None:
        monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
        self.write(tmp_path / "proc/self/cgroup", "0::/outer/inner\n")
        self.write(tmp_path / "sys/fs/cgroup/outer/cpu.max", quota)
        self.write(tmp_path / "sys/fs/cgroup/outer/inner/cpu.max", "max 100000")
        assert usable_cores(tmp_path) == usable_threads(tmp_path) == cores

    def test_the_first_version_of_cgroups_counts_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
        self.write(tmp_path / "proc/self/cgroup", "4:cpu,cpuacct:/docker/x\n3:memory:/docker/x\n")
        self.write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000")
        self.write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000")
        assert usable_cores(tmp_path) == 3

    def test_they_are_counted_again_after_a_second_or_with_another_mask(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now, mask = [100.0], set(range(8))
        monkeypatch.setattr("time.monotonic", lambda: now[0])
        monkeypatch.setattr("os.sched_getaffinity", lambda _: set(mask), raising=False)
        self.write(tmp_path / "proc/self/cgroup", "0::/\n")
        self.write(tmp_path / "sys/fs/cgroup/cpu.max", "400000 100000")
        assert usable_cores(tmp_path) == 4
        self.write(tmp_path / "sys/fs/cgroup/cpu.max", "200000 100000")
        now[0] += 0.9
        assert usable_cores(tmp_path) == 4
        now[0] += 0.2
        assert usable_cores(tmp_path) == 2
        mask &= {0}
        assert usable_cores(tmp_path) == 1

    @staticmethod
    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
