"""How long does a program take from its first line to its first result?

Each in a fresh process: import, load an ONNX file, run it once. Raw: onnxruntime does the same with the same file. The
import of numpy is counted, the start of the interpreter is not, nor is the compilation of modules to bytecode, which an
installation brings along. Memory: the peak of the whole process. Second size: the file is loaded for another shape in
the same process, and run once; the peer is the whole time that the first size took.
`--child imports` prints the imports that take longest, in milliseconds, for a small file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks.measure import Options, Report, environment, main
from benchmarks.models import image_model, tiny

ROUNDS = 15
LAYERS, WIDTH = 6, 512
SLOWEST = 25

PROGRAM = """
import time
began = time.perf_counter()
laps = []
import sys
path, name, *sizes = sys.argv[1:]
sizes = [tuple(map(int, size.split("x"))) for size in sizes]
import numpy
{program}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak = int(status["VmHWM"].split()[0]) * 1024
print([time - before for before, time in zip([began, *laps], laps)] + [peak])
"""
OURS = """
import webnn
context = webnn.ML().create_context()
for size in sizes:
    graph = webnn.load_onnx(path, context, shapes={name: size})
    context.compute(graph, {name: numpy.ones(size, numpy.float32)})
    laps.append(time.perf_counter())
"""
RAW = """
import onnxruntime
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
for size in sizes:
    session.run(None, {name: numpy.ones(size, numpy.float32)})
    laps.append(time.perf_counter())
"""


def figures(program: str, path: Path, name: str, *sizes: Sequence[int]) -> list[float]:
    """Seconds to the result of each size, and the peak of the memory, of one fresh process."""
    words = [str(path), name, *("x".join(map(str, size)) for size in sizes)]
    command = [sys.executable, "-c", PROGRAM.format(program=program), *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment())
    result: list[float] = json.loads(done.stdout)
    return result


def dense_layers() -> bytes:
    """An ONNX model of dense layers whose number of rows is open."""
    random = np.random.default_rng(0)
    nodes, weights, x = [], [], "x"
    for i in range(LAYERS):
        weight = random.standard_normal((WIDTH, WIDTH), np.float32) * np.float32(np.sqrt(2 / WIDTH))
        weights.append(numpy_helper.from_array(weight, f"w{i}"))
        y = f"y{i}"
        nodes += [helper.make_node("MatMul", [x, f"w{i}"], [f"m{i}"]), helper.make_node("Relu", [f"m{i}"], [y])]
        x = y
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", WIDTH]) for name in ("x", x)]
    graph = helper.make_graph(nodes, "layers", infos[:1], infos[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())


def measure(report: Report, options: Options) -> None:
    """Add the rows to `report`."""
    if not Path("/proc/self/status").exists():
        report.notes.append("Memory is measured on Linux only.")
        return
    rounds = 1 if options.is_tiny else options.count(ROUNDS, 5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for model, bar in options.some([(tiny(), 2.0), (image_model(options.models), 1.3)]):
            path.write_bytes(model.onnx())
            name, array = model.input
            if not options.is_tiny:
                figures(OURS, path, name, array.shape)  # which writes bytecode
            both = [[figures(program, path, name, array.shape) for program in (OURS, RAW)] for _ in range(rounds)]
            report.times(f"{model.name}: first result", [a[0] for a, _ in both], [b[0] for _, b in both], "ms", bar=bar)
            report.sizes(f"{model.name}: peak memory", [int(a[1]) for a, _ in both], [int(b[1]) for _, b in both])
        path.write_bytes(dense_layers())
        laps = [figures(OURS, path, "x", (64, WIDTH), (32, WIDTH)) for _ in range(rounds)]
        second, first = [lap[1] for lap in laps], [lap[0] for lap in laps]
        report.times("dense layers: second size", second, first, "ms", bar=1 / 3, peer="the first size")


def child(words: Sequence[str]) -> dict[str, float]:
    """The imports of a program with a small file that take longest by themselves, in milliseconds."""
    assert list(words) == ["imports"]
    model = tiny()
    name, array = model.input
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.onnx())
        size = "x".join(map(str, array.shape))
        command = [sys.executable, "-X", "importtime", "-c", PROGRAM.format(program=OURS), str(path), name, size]
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stderr
    rows = [line.removeprefix("import time:").split("|") for line in printed.splitlines() if line.count("|") == 2]
    took = {module.strip(): int(alone) / 1000 for alone, _, module in rows[1:]}
    return dict(sorted(took.items(), key=lambda item: item[1], reverse=True)[:SLOWEST])


if __name__ == "__main__":
    main(measure, peer="onnxruntime", child=child)
