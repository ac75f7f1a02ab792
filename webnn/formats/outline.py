"""The outline of a model file: its contents before the open dimensions have sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import TypeAlias

from webnn.errors import ValidationError
from webnn.graph.quick_dataclass import dataclass

__all__ = ["OpenDimensionsError", "Outline", "Size", "ValueOutline", "is_name"]

Size: TypeAlias = int | str
"""The size of a dimension; the name of an open one, or "?"."""


def is_name(symbol: str) -> bool:
    """Whether `symbol` names a dimension: "?" and "-1" stand for any."""
    return any(map(str.isalpha, symbol))


class OpenDimensionsError(ValidationError):
    """Dimensions of a model's inputs have no size yet.

    Attributes:
        missing: what has to be given: the name of a dimension, or of an input whose whole shape is needed, with the
            sizes; "..." stands for a size.
    """

    def __init__(self, message: str, missing: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.missing = dict(missing)


@dataclass(frozen=True, slots=True)
class ValueOutline:
    """An input or an output of a model.

    Attributes:
        data_type: of WebNN, or else as the file names it; "" if it does not.
        shape: None if the file has none.
    """

    name: str
    data_type: str = ""
    shape: Sequence[Size] | None = None


@dataclass(frozen=True, slots=True)
class Outline:
    """A model.

    Attributes:
        operators: the number of nodes of each operator, as the file names it.
        constants: the number of constants.
        parameters: the number of their elements.
        largest: the largest size of an open dimension by its name, where the file has one.
        about: what the file says about itself: its format, the version of its operators, the program that wrote it.
    """

    inputs: Sequence[ValueOutline]
    outputs: Sequence[ValueOutline]
    operators: Mapping[str, int]
    constants: int
    parameters: int
    largest: Mapping[str, int] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
