"""Targets: what browsers and backends support.

A target is a recorded answer to `opSupportLimits()`, with the rules of `rules.py` that the browser follows beside it
and the notes of `notes.py` that hold for its results. The package has some in `recorded/`, one file each; a user's own
file, `JSON.stringify(context.opSupportLimits())`, is read too. The backends of this machine are targets as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from webnn.backends.registry import available_backends, backend_named
from webnn.errors import DataError, NotSupportedError
from webnn.formats.json_text import parse_json
from webnn.graph.descriptor import MAX_BYTE_LENGTH
from webnn.graph.dtypes import ALL, DATA_TYPES, DataType
from webnn.graph.limits import Limits, LimitsTable
from webnn.graph.naming import snake
from webnn.targets.notes import NOTES
from webnn.targets.rules import ALLOWANCES, RULES

__all__ = ["Target", "recorded_targets", "target_named", "target_names"]

MEMBERS: Final = ("input", "constant", "output")
"""The members of `opSupportLimits()` that are not operators."""
_ANYTHING: Final[Mapping[str, Limits]] = {
    "input": Limits(ALL),
    "constant": Limits(ALL, ours=("int4", "uint4")),
    "output": Limits(ALL),
}


@dataclass(frozen=True, slots=True)
class Target:
    """Limits that graphs are checked against.

    Attributes:
        name: as `--target` takes it.
        description: in words.
        limits: the limits of the operators; a missing one is not supported.
        members: the limits of a graph's inputs, constants and outputs.
        largest: the most bytes that one tensor may have.
        rules: the names of the rules (`rules.py`) that hold beside the limits, with the target's own error for each.
        notes: the names of the notes (`notes.py`) that hold for its results.
    """

    name: str
    description: str
    limits: LimitsTable
    members: Mapping[str, Limits] = field(default_factory=lambda: _ANYTHING)
    largest: int = MAX_BYTE_LENGTH
    rules: Mapping[str, str] = field(default_factory=dict)
    notes: Collection[str] = ()


# Finding a target.


def recorded_targets() -> list[str]:
    """The names of the targets that come with the package."""
    folder = files("webnn.targets").joinpath("recorded")
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


def target_names() -> list[str]:
    """Everything that `target_named` finds by name: recorded browsers, then this machine's backends."""
    backends = [info.name for info in available_backends() if info.available and info.name != "null"]
    return [*recorded_targets(), *backends]


def target_named(name: str | Target) -> Target:
    """The target of that name, or of the only name that begins with it; or from a file of recorded limits.

    A target is returned as it is.

    Raises:
        NotSupportedError: no target matches, or several do.
        DataError: the file does not hold limits.
        OSError: it cannot be read.
    """
    if isinstance(name, Target):
        return name
    if name.endswith(".json"):
        return _read(Path(name).stem, Path(name).read_bytes())
    names = target_names()
    found = [name] if name in names else [known for known in names if known.startswith(name)]
    if len(found) != 1:
        what = f"{name!r} may be any of {', '.join(found)}" if found else f"unknown target {name!r}"
        raise NotSupportedError(
            f"{what}; the targets are: {', '.join(names)}; or give a JSON file with the browser's opSupportLimits()"
        )
    if found[0] in recorded_targets():
        return _read(found[0], files("webnn.targets").joinpath("recorded", f"{found[0]}.json").read_bytes())
    return Target(found[0], f"the {found[0]} backend on this machine", backend_named(found[0]).support_limits())


def _read(name: str, content: bytes) -> Target:
    """A target from JSON: `{"opSupportLimits": ...}` with facts beside it, or the limits alone."""
    record = parse_json(content, f"{name}.json")
    try:
        if not isinstance(record, dict):
            raise DataError(f"target {name}: expected an object of limits, got {type(record).__name__}")
        limits = record.get("opSupportLimits", record)
        operators = {
            snake(op): {snake(operand): _row(row) for operand, row in rows.items()}
            for op, rows in limits.items()
            if isinstance(rows, dict) and op not in MEMBERS
        }
        if not operators:
            raise DataError(f"target {name}: it has no operators; expected the result of opSupportLimits()")
        for allowance in map(ALLOWANCES.__getitem__, _known(name, record, "allowances", ALLOWANCES)):
            rows = operators[allowance.operator]
            rows[allowance.operand] = replace(rows[allowance.operand], rank=allowance.ranks)
        return Target(
            name,
            str(record.get("description", "recorded limits")),
            operators,
            {member: _row(limits[member]) if member in limits else _ANYTHING[member] for member in MEMBERS},
            int(limits.get("maxTensorByteLength", MAX_BYTE_LENGTH)),
            rules={rule: str(answer) for rule, answer in _known(name, record, "rules", RULES).items()},
            notes=tuple(_known(name, record, "notes", NOTES)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"target {name}: it does not hold opSupportLimits(): {error!r}") from error


def _known(name: str, record: Mapping[str, Any], member: str, table: Mapping[str, object]) -> Any:
    """A member of a record, which has names of `table` only; empty if the record has no such member."""
    names = record.get(member, {})
    unknown = sorted(set(names) - table.keys())
    if unknown:
        raise DataError(f"target {name}: unknown {unknown[0]!r} in {member}; known are {', '.join(table)}")
    return names


def _row(limits: Mapping[str, Any]) -> Limits:
    types: list[DataType] = [known for known in DATA_TYPES if known in limits["dataTypes"]]
    ranks = limits.get("rankRange", {"min": 0, "max": 8})
    return Limits(tuple(types), rank=(int(ranks["min"]), int(ranks["max"])))
