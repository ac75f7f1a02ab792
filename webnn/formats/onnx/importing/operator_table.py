"""The table of functions that import nodes, by the type of the node.

::

    @imports("Clip", since=11)
    def clip(node: OnnxNode) -> MLOperand:
        return node.builder.clamp(node.operand(0), ...)

A function imports the versions of its operator from `since` on, up to the next function for this operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.forking import import_whole
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.values import Value
from webnn.graph.operand import MLOperand

__all__ = ["MICROSOFT", "ImportFunction", "Imported", "import_function_for", "imported_by", "imports"]

MICROSOFT: Final = "com.microsoft"
"""The domain of ONNX Runtime's contrib operators."""

Imported: TypeAlias = "MLOperand | np.ndarray[Any, Any] | Sequence[MLOperand | np.ndarray[Any, Any] | Value | None]"
"""One output, or all of them; None for an optional one that is not read."""

ImportFunction: TypeAlias = Callable[[OnnxNode], Imported]

_TABLE: Final[dict[tuple[str, str], list[tuple[int, ImportFunction]]]] = {}
_HOMES: Final[dict[tuple[str, str], str]] = {}
"""The module that fills the rows of a type, as long as it is not known to be imported."""


def imported_by(module: str, op_types: Iterable[str]) -> None:
    """Import `module` when a function for one of these types, `Type` or `domain.Type`, is first looked up."""
    for name in op_types:
        domain, _, op_type = name.rpartition(".")
        _HOMES[domain, op_type] = module


def imports(*op_types: str, since: int = 1, domain: str = "") -> Callable[[ImportFunction], ImportFunction]:
    """Use a function for nodes of these types, from version `since` of their domain's operators on.

    An import that Ctrl-C has cut off is made again, and so are its functions.
    """

    def register(function: ImportFunction) -> ImportFunction:
        for op_type in op_types:
            rows = _TABLE.setdefault((domain, op_type), [])
            for row in [row for row in rows if row[0] == since]:
                assert row[1].__module__ == function.__module__, f"{op_type} {since} already has a function"
                rows.remove(row)
            rows.append((since, function))
            rows.sort(key=lambda row: row[0], reverse=True)
        return function

    return register


def import_function_for(domain: str, op_type: str, version: int) -> ImportFunction | None:
    """The function that imports a node, or None."""
    key = (domain, op_type)
    home = _HOMES.get(key)
    if home is not None:
        import_whole(home)
        assert key in _TABLE, f"{home} has no function for {op_type}"
        _HOMES.pop(key, None)  # after it: a second thread, that finds the type here, waits until the rows are complete
    for first, function in _TABLE.get(key, ()):
        if first <= version:
            return function
    return None
