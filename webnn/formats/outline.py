"""What the file of a model says by itself, before its open dimensions have sizes and it can become a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from webnn.errors import ValidationError

__all__ = ["OpenDimensionsError", "Outline", "Size", "ValueOutline", "is_name"]

Size: TypeAlias = int | str
"""The size of a dimension; of an open one its name, or "?"."""


def is_name(symbol: str) -> bool:
    """Whether `symbol` means one dimension: "?" and "-1" stand for any."""
    return any(map(str.isalpha, symbol))


class OpenDimensionsError(ValidationError):
    """Dimensions of a model's inputs have no size yet."""


@dataclass(frozen=True, slots=True)
class ValueOutline:
    """An input or an output of a model.

    Attributes:
        data_type: of WebNN, or else in the words of the file; "" if it does not say.
        shape: None if the file does not say.
    """

    name: str
    data_type: str = ""
    shape: Sequence[Size] | None = None


@dataclass(frozen=True, slots=True)
class Outline:
    """A model.

    Attributes:
        operators: how many nodes there are of each, in the words of the file.
        constants: how many it holds.
        parameters: how many elements these have together.
    """

    inputs: Sequence[ValueOutline]
    outputs: Sequence[ValueOutline]
    operators: Mapping[str, int]
    constants: int
    parameters: int
