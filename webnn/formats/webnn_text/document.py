"""The content of a `.webnn` file, from text or from JSON, before the names in it are resolved."""

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
"""The longest graph file that is read; weights belong in a file of their own."""


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
    """A dimension whose size is chosen when the graph is loaded, at most `max_size`."""

    name: str
    max_size: int


Dimension: TypeAlias = int | Dynamic


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the graph."""

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
    """One operator; a node with an empty `op` is another name for its input."""

    id: str
    op: str
    inputs: Sequence[str]
    options: Mapping[str, Any]
    outputs: Sequence[str] | None = None
    """The names of the values that it defines; None for a single value with the name of the node."""
    place: Place = field(default=NOWHERE, compare=False)

    @property
    def values(self) -> Sequence[str]:
        """The names of the values that it defines."""
        return [self.id] if self.outputs is None else self.outputs


@dataclass(frozen=True, slots=True)
class Output:
    """An output of the graph, by the name of its value."""

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
    """The mark of the weights that belong to the graph, if the file has one: see `webnn.backends.marks`."""
    where: str = field(default="", compare=False)
    """The file's name."""
    input_names: Mapping[str, str] = field(default_factory=dict)
    """The graph's names of the inputs for which the text form has others."""
