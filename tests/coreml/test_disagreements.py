"""The interpreter against coremltools' own arithmetic for constants, operator by operator, on values at the edges.

Where they differ, the documentation decides. `DECIDED` has what it says, and the interpreter follows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from tests.coreml.interpreter import ProgramError, run
from tests.coreml.programs import ct, mb, mil, saved
from tests.coreml.test_interpreter import BINARY, CASES, COMPARED, UNARY

Array = np.ndarray[Any, Any]
Case = tuple[Mapping[str, Array], Callable[..., Any]]

EDGES: Final = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 1e-40, -1e-40, 3e38, -3e38, 100, -100, 7, 1],
    np.float32,
)
INTEGERS: Final = np.array([0, 1, -1, 7, -7, 100, -100, 2**15, -(2**15)], np.int32)
PARAMETERS: Final = (
    *("clip", "elu", "leaky_relu", "thresholded_relu", "linear_activation", "scaled_tanh", "sigmoid_hard"),
    "clamped_relu",
)


def pairs(values: Array) -> dict[str, Array]:
    """Each value with each."""
    x, y = np.meshgrid(values, values)
    return {"x": x.ravel(), "y": y.ravel()}


def applied(name: str) -> Callable[..., Any]:
    operator = getattr(mb, name)
    if name in COMPARED:
        return lambda **values: mb.cast(x=operator(**values), dtype="int32")
    made: Callable[..., Any] = operator
    return made


def at_the_edges() -> dict[str, Case]:
    cases: dict[str, Case] = {name: (inputs, build) for name, (inputs, build, _) in CASES.items()}
    for name, (array, _) in UNARY.items():
        if array.dtype == np.float32 and name not in ("l2_norm", "squeeze"):
            cases[f"{name} of edges"] = ({"x": EDGES}, applied(name))
    for name in PARAMETERS:
        cases[f"{name} of edges"] = ({"x": EDGES}, CASES[name][1])
    for name in (*BINARY, *COMPARED, "pow", "mod", "floor_div"):
        cases[f"{name} of edges"] = (pairs(EDGES), applied(name))
    for name in (*BINARY, *COMPARED):
        cases[f"{name} of integers"] = (pairs(INTEGERS), applied(name))
    for name in ("mod", "floor_div", "real_div"):
        inputs = pairs(INTEGERS)
        cases[f"{name} of integers"] = (
            {key: array[inputs["y"] != 0] for key, array in inputs.items()},
            applied(name),
        )
    scattered = CASES["scatter_along_axis"][0]
    for mode in ("add", "sub", "mul", "div", "max", "min"):
        cases[f"scatter_along_axis {mode}"] = (
            scattered,
            lambda x, i, u, mode=mode: mb.scatter_along_axis(data=x, indices=i, updates=u, axis=1, mode=mode),
        )
    x, a = np.ones((2, 3), np.int32), np.ones((1, 3), np.float32)
    cases["select"] = (
        {"c": x, "a": a},
        lambda c, a: mb.select(cond=mb.greater(x=c, y=np.int32(0)), a=a, b=mb.sub(x=a, y=np.float32(1.0))),
    )
    return cases


_SCATTERED: Final = "the modes are documented; coremltools always replaces"
DECIDED: Final = {
    "maximum of edges": "x > y ? x : y, so NaN in x gives y; coremltools keeps it",
    "minimum of edges": "x > y ? y : x, so NaN in y gives x; coremltools keeps it",
    "floor_div of edges": "x / y rounded down, so -0.5 by infinity is -0; coremltools has Python's -1",
    "real_div of integers": "nothing says how a quotient of integers is rounded; coremltools rounds toward 0",
    "thresholded_relu of edges": "x if x >= alpha, otherwise 0, so NaN gives 0; coremltools keeps it",
    "select": "the shape is that of cond, a and b; coremltools declares that of a and b",
    **{f"scatter_along_axis {mode}": _SCATTERED for mode in ("add", "sub", "mul", "div", "max", "min")},
}
"""Where coremltools computes something else than the documentation says, and what that says."""


def inferred(build: Callable[..., Any], inputs: Mapping[str, Array]) -> Array | None:
    """What coremltools computes for constants; None if it does not."""
    with np.errstate(all="ignore"), mil.Function({}, opset_version=ct.target.iOS17):
        # Of copies: some operators overwrite their constant.
        output = build(**{name: mb.const(val=array.copy()) for name, array in inputs.items()})
    return None if output.val is None else np.asarray(output.val)


AT_THE_EDGES: Final = at_the_edges()


@pytest.mark.parametrize("name", AT_THE_EDGES)
def test_the_interpreter_and_coremltools_agree(name: str, tmp_path: Path) -> None:
    inputs, build = AT_THE_EDGES[name]
    try:
        expected = inferred(build, inputs)
    except TypeError:
        pytest.skip("coremltools raises: exclusive sums of constants")
    if expected is None:
        pytest.skip("coremltools does not compute it")
    package = saved(tmp_path / "x.mlpackage", build, inputs)
    same = False
    with suppress(ProgramError):
        (output,) = run(package, inputs).values()
        same = output.dtype == expected.dtype and output.shape == expected.shape
        same = same and np.allclose(output, expected, rtol=2e-6, atol=1e-30, equal_nan=True)
    assert same != (name in DECIDED)
