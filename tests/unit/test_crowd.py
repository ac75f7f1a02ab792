"""Other threads of the machine that use the cores: when they are looked for, and what short runs do about them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.stepped import Function, Rig
from webnn.backends.processors import runnable_threads
from webnn.scheduler.crowd import AWAKE, CLEAR, EVERY, LATE, PAUSE, SHORTEST, Crowd
from webnn.scheduler.task import Work
from webnn.scheduler.trials import SHORT
from webnn.scheduler.width import Width, Widths

RUN = 200_000
"""Nanoseconds of a run."""
LONG = PAUSE + 1
"""Nanoseconds of a pause after which the machine is looked at."""


class Machine:
    """A machine of some processors, and a program whose runs alone take `RUN` nanoseconds."""

    def __init__(self, *, cores: int = 2, processors: int = 2) -> None:
        self.others = 0
        self.looks = 0
        self.spinning = 0
        self.cores = cores
        self.crowd = Crowd(cores, processors, self._ready)

    def _ready(self) -> int:
        self.looks += 1
        return self.others + self.spinning + 1

    def run(self, *, pause: int = 0, took: int = RUN, waiting: int = 0) -> bool:
        """Make a run after a pause; returns whether it is narrow."""
        if pause >= AWAKE:
            self.spinning = 0
        narrow = (pause > PAUSE or self.crowd.looks) and self.crowd.is_here(pause, waiting)
        self.spinning = 0 if narrow else self.cores - 1
        self.crowd.was_wide = not narrow
        if not narrow and took > LATE * RUN:
            self.crowd.looks = True
        return narrow


class TestLooks:
    def test_the_first_run_after_a_pause_looks_and_the_others_do_not(self) -> None:
        machine = Machine()
        for _ in range(3):
            assert not machine.run(pause=LONG)
            assert not any(machine.run(pause=LONG // 2) for _ in range(20))
        assert machine.looks == 3

    def test_another_thread_on_one_of_two_cores_is_a_crowd(self) -> None:
        machine = Machine()
        machine.others = 1
        assert machine.run(pause=LONG)

    def test_a_run_that_took_long_makes_the_next_one_look(self) -> None:
        machine = Machine()
        assert not machine.run(pause=LONG)
        machine.others = 1
        assert not machine.run()  # nothing says so yet
        assert not machine.run(took=5 * RUN)
        assert machine.run()

    def test_the_threads_of_the_last_run_are_no_crowd(self) -> None:
        machine = Machine()
        assert not machine.run(pause=LONG, took=5 * RUN)
        assert not machine.run()
        assert machine.looks == 2

    def test_a_thread_that_is_about_to_wait_for_the_run_is_no_crowd(self) -> None:
        machine = Machine()
        machine.others = 1
        assert not machine.run(pause=LONG, waiting=1)

    def test_a_crowd_is_over_when_looks_in_a_row_find_free_cores(self) -> None:
        machine = Machine()
        machine.others = 1
        assert all(machine.run(pause=LONG if i == 0 else 0) for i in range(100))
        machine.others = 0
        runs = [machine.run() for _ in range(2 * CLEAR * EVERY)]
        assert True in runs
        assert runs.index(False) <= CLEAR * EVERY
        assert not any(runs[runs.index(False) :])

    def test_a_free_moment_does_not_end_a_crowd(self) -> None:
        machine = Machine()
        machine.others = 1
        assert machine.run(pause=LONG)
        for i in range(100):
            machine.others = 0 if i % (2 * EVERY) == EVERY - 1 else 1
            assert machine.run()

    def test_processors_that_this_program_does_not_use_leave_room(self) -> None:
        machine = Machine(cores=2, processors=8)
        machine.others = 6
        assert not machine.run(pause=LONG)
        machine.others = 7
        assert machine.run(pause=LONG)

    def test_without_a_count_there_is_never_a_crowd(self) -> None:
        assert not Crowd(2, 2, lambda: 0).is_here(LONG, 0)


class Program(Rig):
    """A rig on a machine where `others` threads of other programs run. The widths of its runs are in `ran`."""

    def __init__(self, cores: int = 2) -> None:
        self.others = 0
        super().__init__(1, width=Width(cores, Crowd(cores, cores, lambda: self.others + 1)))
        self.asked = 0

    def two(self, nanoseconds: int, *, compiled: bool = True) -> Work:
        """Work with two executables, of which the wide one takes `nanoseconds`."""

        def run(width: str, nanoseconds: int) -> Function:
            def called(*inputs: float) -> float:
                self.ran.append(width)
                self.clock.now += nanoseconds
                return sum(inputs) + 1

            return Function(called)

        def compile(_: Widths) -> None:
            self.asked += 1

        work = Work(self.shelf.size)
        work.executable = run("wide", nanoseconds)
        work.widths = Widths(compile)
        work.widths.measured(nanoseconds, wide=True)
        if compiled:
            work.widths.narrow = run("narrow", 2 * nanoseconds)
        return work

    def run(self, work: Work, count: int = 1, *, pause: int = LONG) -> list[str]:
        self.ran.clear()
        self.clock.now += pause
        x = self.name(1)
        for _ in range(count):
            self.dispatch(work, [x], x)
        self.run_all()
        return list(self.ran)


class TestRuns:
    def test_short_runs_beside_another_program_have_one_thread_and_say_why(self) -> None:
        program = Program()
        work = program.two(RUN)
        assert program.run(work, 3) == ["wide"] * 3
        program.others = 1
        assert program.run(work, 3) == ["narrow"] * 3
        assert program.timeline.statistics.width.reason == "narrow: other programs use the cores"
        program.others = 0
        assert program.run(work, 30)[-20:] == ["wide"] * 20

    def test_runs_that_are_not_short_have_all_cores(self) -> None:
        program = Program()
        program.others = 1
        assert program.run(program.two(SHORT), 3) == ["wide"] * 3

    def test_very_short_runs_have_all_cores_and_do_not_look(self) -> None:
        program = Program()
        program.others = 1
        work = program.two(SHORTEST // 2)
        crowd = program.timeline.width.crowd
        assert crowd is not None
        assert program.run(work, 3) == ["wide"] * 3
        assert work.widths is not None
        work.widths.wide_cost /= 2  # so that the next run is late
        assert program.run(work, 3, pause=0) == ["wide"] * 3
        assert not crowd.looks

    def test_a_graph_that_would_lose_more_than_others_take_has_all_cores(self) -> None:
        program = Program(cores=8)
        program.others = 1
        work = program.two(RUN)
        assert program.run(work, 3) == ["wide"] * 3
        assert work.widths is not None
        work.widths.measured(int(1.5 * RUN), wide=False)
        assert program.run(work, 3) == ["narrow"] * 3

    def test_what_is_seen_once_costs_one_narrow_run(self) -> None:
        program = Program()
        work = program.two(RUN)
        program.others = 1
        assert program.run(work) == ["narrow"]
        program.others = 0
        assert program.run(work, 10, pause=0) == ["wide"] * 10

    def test_a_crowd_has_the_narrow_executable_compiled(self) -> None:
        program = Program()
        program.others = 2  # one of them stands for the second thread of the wide runs
        work = program.two(RUN, compiled=False)
        assert program.run(work, 3) == ["wide"] * 3
        assert program.asked == 1
        reason = "wide: other programs use the cores, but the graph is not compiled for one thread yet"
        assert program.timeline.statistics.width.reason == reason

    def test_runs_in_a_crowd_are_no_part_of_a_trial(self) -> None:
        program = Program()
        work = program.two(RUN)
        assert work.widths is not None
        work.widths.trials.wanted = True
        program.others = 1
        program.run(work, 50)
        assert work.widths.trials.unseen == []
        program.others = 0
        program.run(work, 50)
        assert work.widths.trials.unseen


class TestCount:
    def test_a_running_thread_is_counted(self) -> None:
        count = runnable_threads()
        if count is None:
            pytest.skip("the system does not count the threads that run")
        assert count() >= 1  # this one

    def test_without_the_file_there_is_no_count(self, tmp_path: Path) -> None:
        assert runnable_threads(str(tmp_path / "loadavg")) is None

    @pytest.mark.skipif(not hasattr(os, "pread"), reason="the system has no pread")
    @pytest.mark.parametrize(("text", "threads"), [("0.52 0.61 0.60 12/845 4711\n", 12), ("", 0), ("a b c d", 0)])
    def test_the_count_is_read_from_the_file_of_the_kernel(self, tmp_path: Path, text: str, threads: int) -> None:
        file = tmp_path / "loadavg"
        file.write_text(text, encoding="ascii")
        count = runnable_threads(str(file))
        assert count is not None
        assert count() == threads
