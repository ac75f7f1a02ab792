"""Writes the pages of the site that come from docstrings: one for each public name, and one for each operator.

They are written into `docs/reference/` and `docs/operators/` while the site is built (`make docs`), and are not in git.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import webnn
from docs.generate_support_table import COLUMNS, families_of_operators, support
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.operator import OPERATORS

__all__ = ["CONSTRUCTED", "SECTIONS", "operators", "toctree_of_operators", "write"]

SECTIONS: Final[Mapping[str, Sequence[str]]] = {
    "Contexts and graphs": (
        "create_context", "ML", "MLContext", "MLGraphBuilder", "MLOperand", "MLOperandDescriptor", "MLGraph",
        "MLTensor", "available_backends", "BackendInfo", "MLContextLostInfo",
    ),
    "Results": ("Promise", "Dispatch", "Program"),
    "Streams": ("Stream", "StreamStatistics", "ItemError"),
    "Models": ("Model", "AsyncModel", "ModelStatistics"),
    "Files": ("load_onnx", "import_onnx", "load_webnn", "import_webnn", "load_safetensors", "save_safetensors"),
    "Browsers": ("check", "Verdict", "fit", "Fit", "View"),
    "Figures": ("Statistics", "GraphStatistics", "Histogram", "MemoryInfo", "Trace", "TraceEvent",
                "Audit", "AuditFinding"),
    "Errors": ("MLError",),
}  # fmt: skip
"""The public names, in the order in which a reader meets them."""

CONSTRUCTED: Final = frozenset({"MLOperandDescriptor", "Model", "AsyncModel"})
"""The classes that programs make objects of. All others are made by calls."""

_BUILDER: Final = ("input", "constant", "build")
"""The methods of the builder that are not operators."""


def operators() -> list[tuple[str, list[str]]]:
    """Each family of operators with its names, in the builder's order."""
    return [(family, [name for name in vars(base) if name in OPERATORS]) for family, base in families_of_operators()]


def write(docs: Path) -> None:
    """Write all pages below `docs`. Sphinx does not read unchanged ones again."""
    pages = {"reference/index.rst": _reference()}
    for names in SECTIONS.values():
        pages.update({f"reference/{name}.rst": _page(name) for name in names})
    pages["reference/errors.rst"] = _errors()
    pages.update({f"operators/{name}.rst": _operator(name) for _, names in operators() for name in names})
    for folder in ("reference", "operators"):
        (docs / folder).mkdir(exist_ok=True)
        for path in (docs / folder).glob("*.rst"):
            if f"{folder}/{path.name}" not in pages:
                path.unlink()
    for name, text in pages.items():
        path = docs / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def toctree_of_operators() -> str:
    """The pages of the operators in the order of the table, as MyST has it."""
    names = [f"operators/{name}" for _, family in operators() for name in family]
    return "\n".join(["```{toctree}", ":hidden:", "", *names, "```", ""])


def _titled(title: str, line: str = "=") -> list[str]:
    return [title, line * len(title), ""]


def _reference() -> str:
    lines = [*_titled("Reference"), "Every name that ``import webnn`` gives.", ""]
    for section, names in SECTIONS.items():
        lines += _titled(section, "-")
        for name in names:
            first = (inspect.getdoc(getattr(webnn, name)) or "").partition("\n")[0]
            lines += [f":doc:`{name} <{name}>`", f"    {_literal(first)}", ""]
        if section == "Errors":
            lines += [":doc:`webnn.errors <errors>`", "    All exceptions of this package.", ""]
    lines += [".. toctree::", "   :hidden:", ""]
    return "\n".join([*lines, *(f"   {name}" for names in SECTIONS.values() for name in names), "   errors", ""])


def _literal(text: str) -> str:
    """Names in double backticks, as reStructuredText wants them outside of docstrings."""
    return re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", text)


def _page(name: str) -> str:
    """The page of a public name."""
    lines = _titled(name)
    if not inspect.isclass(getattr(webnn, name)):
        return "\n".join([*lines, ".. currentmodule:: webnn", "", f".. autofunction:: {name}", ""])
    lines += [".. currentmodule:: webnn", "", f".. autoclass:: {name}"]
    if name == "MLGraphBuilder":
        lines += [f"   :members: {', '.join(_BUILDER)}", "", "Operators", "---------", ""]
        for family, names in operators():
            lines += [f"{family.capitalize()}: " + ", ".join(f":doc:`/operators/{each}`" for each in names) + ".", ""]
    else:
        lines += ["   :members:", "   :inherited-members: tuple, Exception, Generic"]
    return "\n".join([*lines, ""])


def _errors() -> str:
    return "\n".join([*_titled("webnn.errors"), ".. automodule:: webnn.errors", "   :members:", ""])


def _operator(name: str) -> str:
    """The page of an operator: its docstring, what its operands may be, and what each backend supports."""
    lines = [*_titled(name), ".. currentmodule:: webnn", "", f".. automethod:: MLGraphBuilder.{name}", ""]
    lines += [*_titled("Operands", "-"), ".. list-table::", "   :header-rows: 1", ""]
    lines += ["   * - operand", "     - data types", "     - ranks"]
    for operand, row in SPEC_LIMITS[name].items():
        low, high = row.ranks
        ranks = str(low) if low == high else f"{low} to {high}"
        lines += [f"   * - ``{operand}``", f"     - {', '.join(row.allowed)}", f"     - {ranks}"]
    lines += ["", *_titled("Backends", "-")]
    for backend, column in COLUMNS.items():
        lines += [f"{backend}", f"    {_literal(support(name, *column))}", ""]
    return "\n".join(lines)


def missing_from_sections() -> set[str]:
    """The public names without a page; `errors` is a module, and has one of its own."""
    listed: set[Any] = {name for names in SECTIONS.values() for name in names}
    return set(webnn.__all__) - listed - {"errors"}
