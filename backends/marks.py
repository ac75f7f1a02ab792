"""Marks: a graph file and the weights beside it bear the same one, so that weights of another save are noticed.

Two files cannot appear in one step. A save that is cut short between them leaves new weights beside an old graph, and
copying one file without the other does the same. The mark is a digest of the weights, which is compared, not computed,
when files are read. Files of other programs have no mark and are loaded as they are.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from webnn.errors import DataError

__all__ = ["KEY", "LINE", "check_marks", "trailer", "trailing_mark"]

KEY: Final = "webnn.weights"
"""The name of the mark in files with named entries."""
LINE: Final = re.compile(r"webnn\.weights ([0-9a-f]{32})\n")
"""The mark as a line of text."""
LENGTH: Final = len(KEY) + 34
"""How long that line is."""


def trailer(mark: str) -> bytes:
    """The mark as the last bytes of a file of weights that has no other place for it."""
    return f"{KEY} {mark}\n".encode()


def trailing_mark(data: np.ndarray[Any, Any]) -> str | None:
    """The mark in the last bytes of a file; None if it has none."""
    matched = LINE.fullmatch(data[-LENGTH:].tobytes().decode("latin-1"))
    return matched[1] if matched is not None else None


def check_marks(graph: str, wanted: str | None, weights: str, found: str | None, remedy: str = "") -> None:
    """Raise `DataError` if the file `weights` has another mark than the file `graph` wants.

    Args:
        graph: the name of the graph file.
        wanted: its mark.
        weights: the name of the file of weights.
        found: its mark.
        remedy: added to the message: another way out than to save both again.
    """
    if wanted is not None and found is not None and wanted != found:
        raise DataError(
            f"{weights} belongs to another save than {graph}: its weights are {found}, those of the graph {wanted};"
            f" save the graph again, or put the two files of one save together{remedy}"
        )
