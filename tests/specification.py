"""The specification's IDL and its tables of tensor limits as data, and what its names become in Python.

`data/spec_idl.json` holds the enums, options and methods of `MLGraphBuilder`; `data/spec_limits.json` the rows of the
"tensor limits" tables: allowed data types, allowed ranks, required data types, required ranks. Both were parsed from
the specification's text of 2026-06-27.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

__all__ = ["DATA", "idl", "limits", "snake"]

DATA: Final = Path(__file__).parent / "data"


def idl() -> Any:
    """`enums`, `options` (name to type and default) and `methods` (`params`, `options`, `returns`)."""
    return json.loads((DATA / "spec_idl.json").read_text(encoding="utf-8"))


def limits() -> Any:
    """Operator to operand to its row; sets of data types are written as words."""
    return json.loads((DATA / "spec_limits.json").read_text(encoding="utf-8"))


def snake(name: str) -> str:
    """The name in this package of what the specification calls `name`: `convTranspose2d` -> `conv_transpose2d`.

    A capital letter begins a word, except in a run of capitals, which is one word.

    >>> [snake(name) for name in ("l2Pool2d", "reduceL1", "gatherND", "isNaN", "int32")]
    ['l2_pool2d', 'reduce_l1', 'gather_nd', 'is_nan', 'int32']
    """
    if name == "isNaN":  # "NaN" is one word, however it is spelled
        return "is_nan"
    words = ""
    for previous, letter in zip(" " + name, name, strict=False):
        words += "_" * (letter.isupper() and not previous.isupper()) + letter.lower()
    return words
