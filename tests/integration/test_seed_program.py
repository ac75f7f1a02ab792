"""The program that this package began with keeps working, word for word."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).resolve().parents[2] / "README.md"

PROGRAM = """\
import webnn
import numpy as np
ml = webnn.ML()
context = ml.create_context(accelerated=False)  # CPU execution
builder = context.create_graph_builder()
x = builder.input("x", [2, 3], "float32")
y = builder.input("y", [2, 3], "float32")
z = builder.add(x, y)
output = builder.relu(z)
graph = builder.build({"output": output})
x_data = np.array([[1, -2, 3], [4, -5, 6]], dtype=np.float32)
y_data = np.array([[-1, 2, -3], [-4, 5, -6]], dtype=np.float32)
results = context.compute(graph, {"x": x_data, "y": y_data})
print(results["output"])
"""


def printed(program: str) -> str:
    """What `program` prints in an interpreter of its own, which must end well and in silence otherwise."""
    command = [sys.executable, "-W", "error", "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=README.parent)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_the_seed_program_prints_zeros() -> None:
    assert printed(PROGRAM) == "[[0. 0. 0.]\n [0. 0. 0.]]\n"


@pytest.mark.parametrize("seed", range(3))
def test_the_seed_program_prints_what_numpy_says_for_other_data(seed: int) -> None:
    x, y = np.random.default_rng(seed).standard_normal((2, 2, 3)).astype(np.float32)
    assert "[[1, -2, 3], [4, -5, 6]]" in PROGRAM
    program = PROGRAM.replace("[[1, -2, 3], [4, -5, 6]]", str(x.tolist()))
    program = program.replace("[[-1, 2, -3], [-4, 5, -6]]", str(y.tolist()))
    assert printed(program) == f"{np.maximum(x + y, 0)}\n"


def test_the_first_program_of_the_readme_prints_more_than_zeros() -> None:
    program, output = re.findall(r"^```python\n(.*?)^```\n\n```output\n(.*?)^```", README.read_text(), re.M | re.S)[0]
    assert printed(program) == output
    assert re.search("[1-9]", output)
