"""The standard's own schemas of its operators."""

from __future__ import annotations

from typing import Any

from webnn.forking import import_lock

__all__ = ["schema_of"]


def schema_of(domain: str, op_type: str, version: int) -> Any:
    """The `onnx.defs.OpSchema` of an operator in a version of its domain, or None; the stubs lack half its members."""
    with import_lock:  # here because the onnx package takes longer to load than most models
        from onnx import defs  # noqa: PLC0415

    try:
        return defs.get_schema(op_type, version, domain)
    except (defs.SchemaError, TypeError):  # TypeError for versions beyond 32 bits
        return None
