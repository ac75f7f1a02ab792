"""The ONNX operators that lowerings emit."""

from __future__ import annotations

import ast
from pathlib import Path

import onnx

from webnn.backends.onnx import signatures

__all__ = ["emitted_operators"]


def emitted_operators() -> set[str]:
    """The ONNX operators that are named in the modules of the lowerings."""
    table = Path(signatures.__file__)
    sources = [path.read_text(encoding="utf-8") for path in table.parent.glob("*.py") if path != table]
    strings = {
        node.value
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {name for name in strings if onnx.defs.has(name)}
