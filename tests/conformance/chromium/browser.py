"""A Chromium that builds and runs graphs, spoken to through `driver.mjs`; and where it is, if it is."""

from __future__ import annotations

import base64
import functools
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import numpy as np

from tests.specification import snake
from webnn.backends.arrays.backend import ArraysBackend
from webnn.graph.dtypes import numpy_dtype
from webnn.graph.limits import Limits, LimitsTable

__all__ = ["PACKAGES", "Answer", "Browser", "WithLimits", "missing"]

Array: TypeAlias = np.ndarray[Any, Any]

_HERE: Final = Path(__file__).parent
_CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
PACKAGES: Final = Path(os.environ.get("WEBNN_CHROMIUM") or _CACHE / "webnn" / "chromium")
"""The folder that holds `node_modules`."""


@functools.cache
def missing() -> str | None:
    """What keeps Chromium from running here; None if nothing does."""
    if shutil.which("node") is None:
        return "no Node here: Chromium is driven by it"
    for name, version in json.loads((_HERE / "package.json").read_text(encoding="utf-8"))["dependencies"].items():
        installed = PACKAGES / "node_modules" / name / "package.json"
        if not installed.is_file():
            return f"no {name} in {PACKAGES}: `make chromium` installs it, WEBNN_CHROMIUM names another folder"
        found = json.loads(installed.read_text(encoding="utf-8"))["version"]
        if found != version:
            return f"{name} in {PACKAGES} is {found}, the known differences are those of {version}: `make chromium`"
    return None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a graph; one of the three is given, and nothing is where no output was asked for."""

    outputs: Mapping[str, Array] | None = None
    refused: tuple[int, str] | None = None
    """Which call threw (-1: an input or a constant), and what."""
    failed: str | None = None
    """What building or running threw, after all calls had been accepted."""

    @property
    def said(self) -> str:
        """The error, in its words."""
        return self.refused[1] if self.refused is not None else self.failed or ""


class Browser:
    """A running Chromium; `close` ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(_HERE / "driver.mjs"), str(PACKAGES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        hello = self._receive()
        self.version: str = hello["version"]
        self.limits: Any = hello["limits"]
        """What `opSupportLimits()` gave."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End it; what it is busy with first comes to its end."""
        self._process.communicate()

    def run(self, request: Mapping[str, Any]) -> Answer:
        """Build and run one graph; `page.js` says what a request holds."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request, allow_nan=False) + "\n")
        self._process.stdin.flush()
        answer = self._receive()
        if "refused" in answer:
            return Answer(refused=(answer["refused"]["call"], answer["refused"]["error"]))
        if "failed" in answer:
            return Answer(failed=answer["failed"])
        return Answer(outputs={name: _array(output) for name, output in answer.get("outputs", {}).items()})

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"Chromium's driver ended with exit status {self._process.wait()}")
        return json.loads(line)


def _array(output: Mapping[str, Any]) -> Array:
    dtype = numpy_dtype(output["dataType"]).newbyteorder("<")
    array = np.frombuffer(base64.b64decode(output["data"]), dtype)
    return array.reshape(output["shape"]).astype(dtype.newbyteorder("="))


class WithLimits(ArraysBackend):
    """A backend whose limits are what two have in common.

    Args:
        ours: the limits of one of our backends.
        theirs: what Chromium's `opSupportLimits()` gave.
    """

    def __init__(self, ours: LimitsTable, theirs: Any) -> None:
        super().__init__()
        rows = {
            snake(op): {snake(name): row for name, row in operands.items()}
            for op, operands in theirs.items()
            if isinstance(operands, dict)
        }
        self._limits = {
            op: {name: _common(name, row, rows[op][name]) for name, row in operands.items()}
            for op, operands in ours.items()
        }

    def support_limits(self) -> LimitsTable:
        return self._limits


def _common(name: str, row: Limits, theirs: Any) -> Limits:
    low, high = row.ranks
    # Results of gatherND are promised only where they have a dimension; scalars are given all the same.
    theirs_low = 0 if name == "output" else theirs["rankRange"]["min"]
    return Limits(
        tuple(data_type for data_type in row.allowed if data_type in theirs["dataTypes"]),
        (max(low, theirs_low), min(high, theirs["rankRange"]["max"])),
        same_as=row.same_as,
    )
