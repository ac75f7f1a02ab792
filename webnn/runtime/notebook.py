"""Objects as HTML tables, for notebooks: the `_repr_html_` of contexts and tensors."""

from __future__ import annotations

from collections.abc import Mapping

from webnn.forking import import_lock

__all__ = ["size", "table"]


def table(title: str, rows: Mapping[str, object]) -> str:
    """A table of two columns under a title. All text is escaped."""
    with import_lock:  # here, since only notebooks need it
        from html import escape  # noqa: PLC0415

    lines = (f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
    return f"<table><caption>{escape(title)}</caption><tbody>{''.join(lines)}</tbody></table>"


def size(count: int) -> str:
    """A number of bytes as it is read: `1.5 MB`.

    >>> size(96), size(1_500_000)
    ('96 B', '1.5 MB')
    """
    number = float(count)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
