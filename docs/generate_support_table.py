"""Writes `docs/operators.md`: which operators there are, what they take, and what each backend does with them.

  python -m docs.generate_support_table [--check]

Everything in it comes from the code: the limits tables, the backends' own limits, the `EMULATED` sets of the lowerings.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.arrays.kernels import kernels
from webnn.backends.coreml.limits import ABSENT, coreml_limits
from webnn.backends.coreml.lowerings import lowerings as coreml_lowerings
from webnn.backends.coreml.program import MAX_RANK
from webnn.backends.lowering import Lowerings
from webnn.backends.onnx import families
from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import ALL, FLOATS, SIGNED, DataType
from webnn.graph.limits import SPEC_LIMITS, Limits, LimitsTable
from webnn.graph.operator import OPERATORS, Operators

__all__ = ["COLUMNS", "PAGE", "emulated", "families_of_operators", "missing", "page", "support"]

PAGE: Final = Path(__file__).parent / "operators.md"

INTRODUCTION: Final = """\
# Operators

The tables list all operators, with the data types and ranks of their operands, and the restrictions of each backend.
Every operator is a method of `MLGraphBuilder`, with the specification's name in snake case; `help()` on the method
describes its arguments. The builder refuses a call that the context's backend does not support.
`context.op_support_limits()` gives the same limits to programs.

- **yes**: everything that the specification allows.
- **composed**: as *yes*, but computed by several ONNX operators, since no single one covers all data types and options.
  The results are those of the specification.
- **without ...**: the named operands cannot have these data types or ranks. `coreml` has no uint32, no uint64 and no
  more than 5 dimensions in any operator, which its column does not repeat.

*floats* means float32 and float16; *signed* means these and int64, int32 and int8; *all* means the specification's
eight data types. int4 and uint4, for quantized constants, are an extension. A rank is the number of dimensions.

`make docs` generates this page from the limits tables and the backends; a test fails when it is stale.
"""

_GROUPS: Final = ((tuple(ALL), "all"), (tuple(SIGNED), "signed"), (tuple(FLOATS), "floats"))


def families_of_operators() -> Iterator[tuple[str, type]]:
    """Each family's name and class, in the builder's order."""
    for base in MLGraphBuilder.__mro__:
        if issubclass(base, Operators) and base.__module__.startswith("webnn.graph.operators."):
            yield base.__module__.rpartition(".")[2], base


def emulated() -> frozenset[str]:
    """The operators that the ONNX lowerings compose of several, as their modules say."""
    modules = [module for module in vars(families).values() if isinstance(module, ModuleType)]
    return frozenset().union(*(getattr(module, "EMULATED", frozenset()) for module in modules))


def missing(op: str, ours: LimitsTable, all_of_it: LimitsTable = SPEC_LIMITS) -> str:
    """What `ours` lacks of `all_of_it`, the specification's limits of `op`, in words; empty if nothing."""
    alike: dict[str, list[str]] = {}
    words: list[str] = []
    for operand, row in all_of_it[op].items():
        narrowed = ours[op][operand]
        types = [t for t in row.allowed if t not in narrowed.allowed]
        if types:
            alike.setdefault(", ".join(types), []).append(f"`{operand}`")
        if narrowed.ranks != row.ranks:
            words.append(f"other ranks than {_ranks(narrowed)} for `{operand}`")
    return "; ".join([*(f"{types} for {' '.join(operands)}" for types, operands in alike.items()), *words])


def held_by_core_ml() -> LimitsTable:
    """The specification's limits without what Core ML lacks everywhere, which the introduction says."""
    table = {op: dict(rows) for op, rows in SPEC_LIMITS.items()}
    for rows in table.values():
        for name, row in rows.items():
            types = tuple(data_type for data_type in row.types if data_type not in ABSENT)
            low, high = row.ranks
            rows[name] = replace(row, types=types, rank=(low, min(high, MAX_RANK)))
    return table


COLUMNS: Final[Mapping[str, tuple[LimitsTable, Lowerings[Any], frozenset[str], LimitsTable]]] = {
    "onnxruntime": (OnnxRuntimeBackend().support_limits(), lowerings, emulated(), SPEC_LIMITS),
    "arrays": (ArraysBackend().support_limits(), kernels, frozenset(), SPEC_LIMITS),
    "coreml": (coreml_limits(), coreml_lowerings, frozenset(), held_by_core_ml()),
}
"""Each backend with its limits, its lowerings, the operators that it composes of several, and what could be there."""


def support(
    op: str, limits: LimitsTable, table: Lowerings[Any], composed: frozenset[str], all_of_it: LimitsTable = SPEC_LIMITS
) -> str:
    """One backend's cell in the row of `op`."""
    if op not in table:
        return "no"
    gaps = missing(op, limits, all_of_it)
    return ("composed" if op in composed else "yes") + (f", without {gaps}" if gaps else "")


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION]
    for family, base in families_of_operators():
        ops = [name for name in vars(base) if name in OPERATORS]
        lines += [f"## {family.capitalize()}", ""]
        lines += [f"| operator | operands: data types, rank | {' | '.join(COLUMNS)} |"]
        lines += [f"| --- | --- |{' --- |' * len(COLUMNS)}"]
        for op in ops:
            cells = [support(op, *column) for column in COLUMNS.values()]
            lines.append(f"| {_link(getattr(base, op))} | {_operands(SPEC_LIMITS[op])} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _link(method: Any) -> str:
    anchor = re.search(r"Spec: (\S+)", inspect.getdoc(method) or "")
    return f"[`{method.__name__}`]({anchor.group(1)})" if anchor else f"`{method.__name__}`"


def _operands(rows: Mapping[str, Limits]) -> str:
    """The operands, those that may be the same together."""
    alike: dict[str, list[str]] = {}
    for operand, row in rows.items():
        alike.setdefault(f"{_types(row.allowed)}, {_ranks(row)}", []).append(f"`{operand}`")
    return "; ".join(f"{' '.join(operands)}: {what}" for what, operands in alike.items())


def _types(types: tuple[DataType, ...]) -> str:
    names: list[str] = list(types)
    words: list[str] = []
    for group, word in _GROUPS:
        if set(group) <= set(names):
            words.append(word)
            names = [name for name in names if name not in group]
    return ", ".join(words + names)


def _ranks(row: Limits) -> str:
    low, high = row.ranks
    return str(low) if low == high else f"{low} to {high}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write docs/operators.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is stale")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/operators.md is stale: run make docs")
