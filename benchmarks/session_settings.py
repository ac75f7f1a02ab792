"""How much do the onnxruntime backend's session settings gain or cost?

Both columns are onnxruntime without this package: with the setting, and with onnxruntime's default.
`backends/onnxruntime/backend.py` makes the settings; `docs/development/runtime.md` explains them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.measure import Options, Report, bound, busy_after, in_turn, main, seconds_per, session
from benchmarks.models import Model, image_model, tiny
from webnn.backends.processors import usable_cores

RUNS, FRAMES, ROUNDS = 5000, 30, 7

Run = Callable[[], None]


def run_of(model: Model, threads: int = 0, *, spin: int | None = None, rests: bool = False, arena: bool = True) -> Run:
    """A run of `model` in a session of its own with these settings."""
    (name, frame), (output, shape) = model.input, model.output
    raw = session(model.onnx(), threads, spin=spin, rests=rests, arena=arena)
    return bound(raw, {name: frame.copy()}, {output: np.zeros(shape, np.float32)})


def in_a_row(runs: Sequence[Run]) -> Run:
    """All of `runs`, as one."""

    def run_all() -> None:
        for run in runs:
            run()

    return run_all


def after_a_rest(run: Run) -> Run:
    """Five runs on a thread that has slept, as a lane does them, for a program that waits for each."""
    lane = ThreadPoolExecutor(1)

    def rest_and_run() -> None:
        time.sleep(0.05)
        for _ in range(5):
            lane.submit(run).result()

    return rest_and_run


def with_host_work(run: Run) -> Run:
    """`run`, and then about 3 ms of NumPy on one thread."""
    picture = np.random.default_rng(0).random((448, 448, 3), np.float32)

    def run_and_work() -> None:
        run()
        picture.reshape(224, 2, 224, 2, 3).mean((1, 3))

    return run_and_work


async def measure(report: Report, options: Options) -> None:
    """Add a row for each setting to `report`."""
    images = [image_model(options.models, variant) for variant in range(2)]
    runs, frames = options.count(RUNS, 100), options.count(FRAMES, 3)

    async def row(what: str, ours: Run, default: Run, count: int) -> None:
        kinds = {"ours": lambda: seconds_per(count, ours), "default": lambda: seconds_per(count, default)}
        times = await in_turn(options.rounds(ROUNDS), kinds)
        report.times(what, times["ours"], times["default"], "us" if count == runs else "ms")

    small = tiny()
    await row(f"{small.name}: one thread", run_of(small, 1), run_of(small), runs)
    await row(f"{small.name}: and no arena", run_of(small, 1, arena=False), run_of(small, 1), runs)
    name = images[0].name
    brief, default = ([run_of(image, spin=spin) for image in images] for spin in (300, None))
    unpinned = run_of(images[0], usable_cores())
    never = run_of(images[0], spin=0)
    resting = run_of(images[0], spin=300, rests=True)
    await row(f"{name}: spin for 300 us", brief[0], default[0], frames)
    await row(f"{name}: never spin", never, default[0], frames)
    await row(f"{name}: spin in runs only", resting, default[0], frames)
    await row("two sessions in turn: spin for 300 us", in_a_row(brief), in_a_row(default), frames)
    await row("with host work: spin for 300 us", with_host_work(brief[0]), with_host_work(default[0]), frames)
    await row("with host work: never spin", with_host_work(never), with_host_work(default[0]), frames)
    await row("with host work: spin in runs only", with_host_work(resting), with_host_work(default[0]), frames)
    await row(f"{name}: threads not pinned", unpinned, default[0], frames)
    await row("five runs after a rest: threads not pinned", after_a_rest(unpinned), after_a_rest(default[0]), frames)
    after = await in_turn(
        options.rounds(3), {"ours": lambda: busy_after(brief[0]), "default": lambda: busy_after(default[0])}
    )
    report.times("processor time after a run: spin for 300 us", after["ours"], after["default"], "ms")


if __name__ == "__main__":
    main(measure, peer="default")
