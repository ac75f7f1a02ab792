"""What a `.webnn` file says, whether it says it as text or as JSON; the names in it are not resolved yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

__all__ = [
    "MAX_FILE",
    "Constant",
    "Dimension",
    "Document",
    "Dynamic",
    "Init",
    "Inline",
    "Input",
    "Node",
    "Output",
    "Place",
    "Scalar",
    "WeightReference",
]

MAX_FILE: Final = 64 * 1024 * 1024
"""The longest graph file that is read; more than that is weights, which belong into a file of their own."""


class Place:
    """Where something stands in a file, for messages: line and column in text, the path of keys in JSON."""

    __slots__ = ("_parts", "text")

    def __init__(self, text: str, parts: Mapping[str, str] | None = None) -> None:
        """Where the whole stands, and in text also where its parts do."""
        self.text = text
        self._parts = parts

    def of(self, part: str) -> str:
        """Where `part` of it stands, e.g. `inputs[0]`."""
        return f"{self.text}.{part}" if self._parts is None else self._parts.get(part, self.text)

    def __str__(self) -> str:
        return self.text


NOWHERE: Final = Place("")


@dataclass(frozen=True, slots=True)
class Dynamic:
    """A dimension that is known only when the graph is used, and is at most `max_size` then."""

    name: str
    max_size: int


Dimension: TypeAlias = int | Dynamic


@dataclass(frozen=True, slots=True)
class Input:
    """An input: what each run is given."""

    data_type: str
    shape: Sequence[Dimension]
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class WeightReference:
    """The constant's bytes are in a weight file, under `key`."""

    key: str


@dataclass(frozen=True, slots=True)
class Scalar:
    """Every element of the constant has this value."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Inline:
    """The constant's bytes themselves."""

    data: bytes


Init: TypeAlias = WeightReference | Scalar | Inline


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant and where its value comes from."""

    data_type: str
    shape: Sequence[int]
    init: Init
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Node:
    """One operator; an empty `op` is another name for its input."""

    id: str
    op: str
    inputs: Sequence[str]
    options: Mapping[str, Any]
    outputs: Sequence[str] | None = None
    """The names of the values that it defines; None for one that is called as the node is."""
    place: Place = field(default=NOWHERE, compare=False)

    @property
    def values(self) -> Sequence[str]:
        """The names of the values that it defines."""
        return [self.id] if self.outputs is None else self.outputs


@dataclass(frozen=True, slots=True)
class Output:
    """The value that an output has."""

    value: str
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(slots=True)
class Document:
    """A whole graph file."""

    name: str | None = None
    version: int = 1
    quantized: bool = False
    inputs: dict[str, Input] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    outputs: dict[str, Output] = field(default_factory=dict)
    mark: str | None = None
    """Says which weights belong to the graph, if the file says so: see `webnn.backends.marks`."""
    where: str = field(default="", compare=False)
    """The file's name."""
