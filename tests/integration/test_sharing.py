"""Two processes with one model compile it once, and share the pages of its weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.models import save_model

ROLLUP = Path("/proc/self/smaps_rollup")
WIDTH, LAYERS = 1024, 20
WEIGHTS = LAYERS * WIDTH * WIDTH * 4

CHILD = """
import json, sys
from pathlib import Path
import numpy as np
import webnn
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend

def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))

compiled = []
for name in ("compile", "compile_to"):
    def counting(self, *arguments, made=getattr(OnnxRuntimeBackend, name)):
        compiled.append(1)
        return made(self, *arguments)
    setattr(OnnxRuntimeBackend, name, counting)
with webnn.ML().create_context(accelerated=False) as context:  # loads onnxruntime
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.relu(builder.input("x", [1], "float32"))})
    context.compute(graph, np.ones(1, np.float32))
compiled.clear()
before = private()
options = {"threads": 1, **({"compiled_cache": sys.argv[2]} if len(sys.argv) > 2 else {})}
print("ready", flush=True)
sys.stdin.readline()
model = webnn.Model(sys.argv[1], context=options)
y = model(np.ones((1, 1024), np.float32))["y"]
print("loaded", flush=True)
sys.stdin.readline()
print(json.dumps([len(compiled), private() - before, float(y.sum())]), flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    weights = {f"w{i}": random.standard_normal((WIDTH, WIDTH), np.float32) / 32 for i in range(LAYERS)}
    values = ["x", *(f"h{i}" for i in range(1, LAYERS)), "y"]
    nodes = [helper.make_node("MatMul", [values[i], f"w{i}"], [values[i + 1]]) for i in range(LAYERS)]
    folder = tmp_path_factory.mktemp("shared")
    return save_model(folder / "model.onnx", nodes, {"x": [1, WIDTH]}, {"y": [1, WIDTH]}, weights)


def together(*words: str) -> list[tuple[int, int, float]]:
    """What two processes report, which load the model at the same time: compilations, private bytes, the result."""
    command = [sys.executable, "-c", CHILD, *words]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for said in ("ready", "loaded"):  # both have the pages of the file when either counts its private ones
            for child in children:
                assert child.stdout is not None
                assert child.stdout.readline() == f"{said}\n"
            for child in children:
                assert child.stdin is not None
                child.stdin.write("go\n")
                child.stdin.flush()
        return [tuple(json.loads(child.stdout.readline())) for child in children if child.stdout is not None]
    finally:
        for child in children:
            child.communicate("end\n", timeout=30)


@pytest.mark.skipif(not ROLLUP.exists(), reason="Linux tells the memory that processes share")
def test_two_processes_compile_once_and_map_the_weights_once(model: Path, tmp_path: Path) -> None:
    alone = together(str(model))
    assert [count for count, _, _ in alone] == [1, 1]
    # Each has packed weights of its own, so the test can fail.
    assert min(private for _, private, _ in alone) > WEIGHTS
    first = together(str(model), str(tmp_path))
    assert sorted(count for count, _, _ in first) == [0, 1]
    second = together(str(model), str(tmp_path))
    assert [count for count, _, _ in second] == [0, 0]
    assert max(private for _, private, _ in second) < WEIGHTS / 2
    assert len({total for _, _, total in [*alone, *first, *second]}) == 1
