"""Where the Chromiums are that `make chromium` installs, and the limits that one has in common with a backend."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any, Final

from tests.specification import snake
from webnn.backends.arrays.backend import ArraysBackend
from webnn.graph.limits import Limits, LimitsTable

__all__ = ["FOLDER", "NAMES", "WithLimits", "missing", "program"]

NAMES: Final = ("chromium-147", "chromium-153")
"""The browsers that are installed, as `package.json` names them."""

_HERE: Final = Path(__file__).parent
_CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
FOLDER: Final = Path(os.environ.get("WEBNN_CHROMIUM") or _CACHE / "webnn" / "chromium")
"""The folder that holds `chromium-147/chromium` and so on."""


def program(name: str) -> Path:
    """The program of "chromium-147" or "chromium-153"."""
    return FOLDER / name / "chromium"


@functools.cache
def missing(name: str) -> str | None:
    """The reason why the browser `name` cannot run here; None if it can."""
    package = json.loads((_HERE / "package.json").read_text(encoding="utf-8"))["dependencies"][name]
    if not program(name).is_file():
        return f"no {name} in {FOLDER}: `make chromium` installs it, WEBNN_CHROMIUM names another folder"
    found = (FOLDER / name / "version").read_text(encoding="utf-8")
    if not package.endswith(f"@{found}"):
        return f"{name} in {FOLDER} is {found}, the known differences are those of {package}: `make chromium`"
    return None


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
