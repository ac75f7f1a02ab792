"""Reading of WPT's WebNN tests as data, from the `shared/wpt` folder beside the repository.

`README.md` in that folder describes the format. `WEBNN_SHARED` names another `shared` folder; without any, the tests
that need the data are skipped with `MISSING` as the reason.
"""

from __future__ import annotations

import functools
import json
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import ml_dtypes
import numpy as np
import pytest

__all__ = [
    "DATA",
    "MISSING",
    "Array",
    "Case",
    "absolute_distance",
    "array_of",
    "buffer_of",
    "conformance_cases",
    "number_of",
    "parameters",
    "problem",
    "read_json",
    "sequences",
    "typed_array",
    "ulp_distance",
]

Array: TypeAlias = np.ndarray[Any, Any]

SHARED: Final = Path(os.environ.get("WEBNN_SHARED") or Path(__file__).resolve().parents[3] / "shared")
DATA: Final = SHARED / "wpt"
MISSING: Final = None if DATA.is_dir() else f"no WPT data in {DATA}: set WEBNN_SHARED to the folder that holds wpt/"

_FOUR_BITS: Final[dict[str, Any]] = {"int4": ml_dtypes.int4, "uint4": ml_dtypes.uint4}
_SPECIAL: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf"), "-0": -0.0}
_JUDGED_OF_A_FILL: Final = 1000
"""WPT writes an expectation that is one value everywhere as that value, and compares so many elements."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test of a file: a conformance case, or a sequence of recorded calls with the file's setup."""

    file: str
    name: str
    data: dict[str, Any]
    stale: str | None = None
    """Why it contradicts the current specification; None if it does not."""
    setup: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"


@functools.cache
def read_json(path: Path) -> Any:
    """The content of a JSON file, read once."""
    return json.loads(path.read_text(encoding="utf-8"))


def conformance_cases() -> Iterator[Case]:
    """Every graph with its inputs and expected outputs."""
    for path in sorted((DATA / "conformance").glob("*.json")):
        for data in read_json(path)["tests"]:
            yield Case(path.stem, data["name"], data, "; ".join(data.get("specIssues", ())) or None)


def sequences(folder: str) -> Iterator[Case]:
    """Every recorded sequence of calls in `folder`: "validation" or "scripts"."""
    stale = read_json(DATA / "stale.json") if MISSING is None else {}
    for path in sorted((DATA / folder).glob("*.json")):
        content = read_json(path)
        reasons = stale.get(content["source"].removeprefix("webnn/"), {})
        for data in content["tests"]:
            yield Case(path.stem, data["name"], data, reasons.get(data["name"]), tuple(content["setup"]))


def parameters(cases: Iterator[Case]) -> list[Any]:
    """`cases` for `pytest.mark.parametrize`, each named after its file and test."""
    if MISSING is not None:
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason=MISSING))]
    return [pytest.param(case, id=str(case)) for case in cases]


def number_of(value: Any) -> int | float:
    """A JSON value as the JavaScript number it stands for; a few BigInts are written as strings of digits."""
    if isinstance(value, str):
        return int(value)
    if isinstance(value, dict):
        return _SPECIAL[value["$f"]] if "$f" in value else int(value["$i"])
    assert isinstance(value, int | float), value
    return value


def typed_array(numbers: Any, data_type: str) -> Array:
    """`numbers` (a JSON array, or `{"$fill": v, "length": n}`) as JavaScript's typed array of `data_type` holds them.

    Integers that do not fit wrap around.
    """
    if isinstance(numbers, dict):
        return np.full(numbers["length"], typed_array([numbers["$fill"]], data_type)[0])
    values = [number_of(value) for value in numbers]
    if data_type.startswith("float"):
        with np.errstate(over="ignore"):
            return np.array(values, data_type)
    dtype = np.dtype(_FOUR_BITS.get(data_type, data_type))
    bits = 4 if data_type in _FOUR_BITS else dtype.itemsize * 8
    wrapped = [int(value) % (1 << bits) for value in values]
    if not data_type.startswith("u"):
        wrapped = [value - (value >> (bits - 1) << bits) for value in wrapped]
    return np.array(wrapped, dtype)


def array_of(spec: dict[str, Any]) -> Array:
    """The array of one input or expected output: `dataType`, `shape`, and `data` or `halfBits`."""
    if "halfBits" in spec:
        return np.array(spec["halfBits"], np.uint16).view(np.float16).reshape(spec["shape"])
    data = spec["data"]
    if isinstance(data, list):
        return typed_array(data, spec["dataType"]).reshape(spec["shape"])
    return np.full(spec["shape"], typed_array([data], spec["dataType"])[0])


def buffer_of(value: dict[str, Any]) -> Any:
    """What stands for a JavaScript buffer: `bytearray`, shared memory, or an array; detached, a released memoryview."""
    kind = value["$buffer"]
    if value.get("detached"):
        released = memoryview(bytearray())
        released.release()
        return released
    if kind in ("ArrayBuffer", "SharedArrayBuffer"):
        content = typed_array(value["data"], "uint8")
    else:
        content = typed_array(value["data"], kind.removesuffix("Array").removeprefix("Big").lower())
    if kind == "ArrayBuffer":
        return bytearray(content)
    if kind != "SharedArrayBuffer" and not value.get("shared"):
        return content
    shared = mmap.mmap(-1, content.nbytes)
    shared[:] = content.tobytes()
    return shared if kind == "SharedArrayBuffer" else np.frombuffer(shared, content.dtype)


def problem(actual: Array, expected: dict[str, Any], tolerance: dict[str, Any]) -> str | None:
    """What is wrong with `actual`, judged as WPT judges; None if nothing is."""
    if list(actual.shape) != list(expected["shape"]):
        return f"shape {list(actual.shape)}, expected {expected['shape']}"
    wanted = array_of(expected)
    if actual.dtype != wanted.dtype:
        return f"data type {actual.dtype}, expected {wanted.dtype}"
    filled = not isinstance(expected["data"], list)
    count = _JUDGED_OF_A_FILL if filled else None
    actual, wanted = actual.reshape(-1)[:count], wanted.reshape(-1)[:count]
    metric, limit = tolerance["metric"], tolerance["value"]
    if metric == "ATOL":
        as_written = wanted.astype(np.float64) if filled else np.array([number_of(v) for v in expected["data"]], float)
        distance = absolute_distance(actual.astype(np.float64), as_written)
    else:
        distance = ulp_distance(actual, wanted)
    wrong = np.flatnonzero(~(distance <= limit))
    if not wrong.size:
        return None
    first = wrong[0]
    return (
        f"{wrong.size} of {actual.size} elements are off by more than {limit} {metric}, at worst {distance.max()};"
        f" the first is element {first}: {actual[first]!r}, expected {wanted[first]!r}"
    )


def absolute_distance(actual: Array, wanted: Array) -> Array:
    """|actual - wanted|; 0 between equal infinities and between NaNs."""
    with np.errstate(invalid="ignore"):
        distance: Array = np.abs(actual - wanted)
    distance[(actual == wanted) | (np.isnan(actual) & np.isnan(wanted))] = 0.0
    return distance


def ulp_distance(actual: Array, wanted: Array) -> Array:
    """How many representable values lie between, by WPT's rules; 0 between equal values and between NaNs.

    float32 counts through zero. float16 takes the difference of the raw bits, so signs must agree (zeros apart). Of
    integers it is the difference.
    """
    if actual.dtype == np.float32:
        places = [_float32_place(actual), _float32_place(wanted)]
    elif actual.dtype == np.float16:
        places = [actual.view(np.uint16), wanted.view(np.uint16)]
    else:
        places = [a.astype(np.int8) if a.dtype.name in _FOUR_BITS else a for a in (actual, wanted)]
    high, low = np.maximum(*places), np.minimum(*places)
    distance = high.astype(np.uint64) - low.astype(np.uint64)  # wraps to the exact difference, for signed types too
    if actual.dtype.kind == "f":
        distance[np.isnan(actual) & np.isnan(wanted)] = 0
        distance[actual == wanted] = 0
    return distance


def _float32_place(array: Array) -> Array:
    """The place of each value in the order of all float32 values; 0 for zero."""
    magnitude: Array = np.abs(array).view(np.uint32).astype(np.int64)
    place: Array = np.where(array < 0, -magnitude, magnitude)
    return place
