"""Targets: the limits of browsers and backends, and the problems of a graph with them.

A target is a recorded answer to `opSupportLimits()`. The package has some in `targets/`, one file each, with facts
beside the limits; a user's own file, `JSON.stringify(context.opSupportLimits())`, is read too. The backends of this
machine are targets as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

from webnn.backends.registry import available_backends, backend_named
from webnn.cli.output import counted
from webnn.errors import DataError, NotSupportedError
from webnn.formats.json_text import parse_json
from webnn.graph.descriptor import MAX_BYTE_LENGTH, MLOperandDescriptor
from webnn.graph.dtypes import ALL, DATA_TYPES, DataType
from webnn.graph.ir import Graph, Node
from webnn.graph.limits import Limits, LimitsTable
from webnn.graph.naming import snake
from webnn.graph.operand import MLOperand
from webnn.graph.windows import sweeps

__all__ = ["Problem", "Target", "problems", "recorded_targets", "target_named", "target_names"]

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
        limits: of the operators; a missing one is not supported.
        members: the limits of a graph's inputs, constants and outputs.
        largest: the most bytes that one tensor may have.
        quirks: known deviations from the specification, by their names in `_QUIRKS`.
    """

    name: str
    description: str
    limits: LimitsTable
    members: Mapping[str, Limits] = field(default_factory=lambda: _ANYTHING)
    largest: int = MAX_BYTE_LENGTH
    quirks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a target would not build a graph.

    Attributes:
        node: its place in the graph's order; None if it is about an input, a constant or an output.
        where: the node's label and operator, or the input or output, in words.
        operand: which operand of the operator, in Python's spelling; empty if it is about the operator itself.
        kind: "operator", "type", "rank", "size" or "quirk".
        given: the property of the graph: "is float16".
        allowed: the limit of the target: "takes float32".
        help: the nearest form that the target takes.
    """

    node: int | None
    where: str
    operand: str
    kind: str
    given: str
    allowed: str
    help: str

    def message(self, target: str) -> str:
        """The whole in one line, for a target of that name."""
        subject = f"{self.where}: {self.operand}" if self.operand else self.where
        return f"{subject} {self.given}; {target} {self.allowed}"


# Finding a target.


def recorded_targets() -> list[str]:
    """The names of the targets that come with the package."""
    folder = files("webnn.cli").joinpath("targets")
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


def target_names() -> list[str]:
    """Everything that `target_named` finds by name: recorded browsers, then this machine's backends."""
    backends = [info.name for info in available_backends() if info.available and info.name != "null"]
    return [*recorded_targets(), *backends]


def target_named(name: str) -> Target:
    """The target of that name, or of the only name that begins with it; or from a file of recorded limits.

    Raises:
        NotSupportedError: no target matches, or several do.
        DataError: the file does not hold limits.
    """
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
        return _read(found[0], files("webnn.cli").joinpath("targets", f"{found[0]}.json").read_bytes())
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
        return Target(
            name,
            str(record.get("description", "recorded limits")),
            operators,
            {member: _row(limits[member]) if member in limits else _ANYTHING[member] for member in MEMBERS},
            int(limits.get("maxTensorByteLength", MAX_BYTE_LENGTH)),
            dict(record.get("quirks", {})),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"target {name}: it does not hold opSupportLimits(): {error!r}") from error


def _row(limits: Mapping[str, Any]) -> Limits:
    types: list[DataType] = [known for known in DATA_TYPES if known in limits["dataTypes"]]
    ranks = limits.get("rankRange", {"min": 0, "max": 8})
    return Limits(tuple(types), rank=(int(ranks["min"]), int(ranks["max"])))


# Checking a graph.


class _Place(NamedTuple):
    """The place of a problem: the first three fields of `Problem`."""

    node: int | None
    where: str
    operand: str = ""


def problems(graph: Graph, target: Target) -> Iterator[Problem]:
    """Every reason why `target` would not build `graph` as it is; none if it would."""
    for name, operand in graph.inputs.items():
        yield from _exceeded(target, "input", operand.descriptor, _Place(None, f"input {name!r}"))
    seen: set[int] = set()
    for index, node in enumerate(graph.nodes):
        place = _Place(index, node.where if node.label else f"{node.op} (node {index})")
        for name, operand in _named_operands(node):
            if operand.constant is not None and id(operand) not in seen:
                seen.add(id(operand))
                yield from _exceeded(target, "constant", operand.descriptor, place._replace(operand=f"constant {name}"))
        rows = target.limits.get(node.op)
        if rows is None:
            allowed = f"has {counted(len(target.limits), 'other operator')}"
            yield Problem(*place, "operator", "is not there", allowed, "")
            continue
        for name, operand in [*_named_operands(node), *_named_outputs(node)]:
            row = rows.get(name) or rows.get(name.partition("[")[0])
            if row is not None:
                yield from _outside(row, operand.descriptor, place._replace(operand=name))
        for quirk, check in _QUIRKS.items():
            if quirk in target.quirks:
                yield from check(node, place._replace(operand="output"))
    for name, operand in graph.outputs.items():
        yield from _exceeded(target, "output", operand.descriptor, _Place(None, f"output {name!r}"))


def _named_operands(node: Node) -> Iterator[tuple[str, MLOperand]]:
    for name, operands in node.operands.items():
        if isinstance(operands, MLOperand):
            yield name, operands
        else:
            yield from ((f"{name}[{i}]", operand) for i, operand in enumerate(operands))


def _named_outputs(node: Node) -> Iterator[tuple[str, MLOperand]]:
    """The outputs under every name that limits may have for them; a table has but one of these."""
    for i, output in enumerate(node.outputs):
        yield "output", output
        yield f"output{i}", output
        yield f"outputs[{i}]", output


def _exceeded(target: Target, member: str, descriptor: MLOperandDescriptor, place: _Place) -> Iterator[Problem]:
    """The problems with an input, a constant or an output of the graph."""
    yield from _outside(target.members[member], descriptor, place)
    if descriptor.byte_length > target.largest:
        given, allowed = f"has {descriptor.byte_length} bytes", f"takes up to {target.largest}"
        yield Problem(*place, "size", given, allowed, "divide it into parts and concat their results")


def _outside(row: Limits, descriptor: MLOperandDescriptor, place: _Place) -> Iterator[Problem]:
    """The problems of a descriptor with a row of the limits."""
    if descriptor.data_type not in row.allowed:
        allowed = f"takes {' or '.join(row.allowed) or 'nothing'}"
        nearest = _nearest(descriptor.data_type, row.allowed)
        advice = f"cast to {nearest} before and back after" if nearest else ""
        yield Problem(*place, "type", f"is {descriptor.data_type}", allowed, advice)
    low, high = row.ranks
    if not low <= descriptor.rank <= high:
        allowed = f"takes rank {low}" + (f" to {high}" if high != low else "")
        advice = f"reshape to rank {high if descriptor.rank > high else low} before and back after"
        yield Problem(*place, "rank", f"{list(descriptor.shape)} has rank {descriptor.rank}", allowed, advice)


def _nearest(data_type: DataType, allowed: tuple[DataType, ...]) -> DataType | None:
    """Of `allowed`, the smallest type that holds all values of `data_type`; else the largest of its kind."""
    kind = "float" if data_type.startswith("float") else "int"
    bits, signed = DATA_TYPES[data_type].bits, not data_type.startswith("u")
    alike = sorted((t for t in allowed if kind in t), key=lambda t: DATA_TYPES[t].bits)
    alike = [t for t in alike if not (signed and t.startswith("u"))] or alike
    return next((t for t in alike if DATA_TYPES[t].bits > bits), alike[-1] if alike else None)


def _rounds_up(node: Node, place: _Place) -> Iterator[Problem]:
    """A pool whose output a browser makes smaller, since it ignores `outputShapeRounding`."""
    if not node.op.endswith("pool2d"):
        return
    given = node.attributes
    inputs = [node["input"].shape[given["layout"].index(axis)] for axis in "hw"]
    swept = sweeps(inputs, given["window_dimensions"], given["padding"], given["strides"], given["dilations"])
    floor, sizes = [axis.floor_size for axis in swept], list(given["output_sizes"])
    if given["output_shape_rounding"] == "ceil" and sizes != floor:
        advice = 'give outputSizes, or roundingType: "ceil" beside it'
        rounded = f"is rounded up to {sizes} by outputShapeRounding"
        yield Problem(*place, "quirk", rounded, f"ignores that and gives {floor}", advice)


_QUIRKS: Final[Mapping[str, Callable[[Node, _Place], Iterator[Problem]]]] = {"output-shape-rounding": _rounds_up}
"""The quirks that can be seen in a graph; the others are only listed."""
