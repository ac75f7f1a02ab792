"""`MLOperand`: one edge of a graph.

Spec: https://www.w3.org/TR/webnn/#api-mloperand
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DataType
from webnn.graph.unpicklable import Unpicklable

if TYPE_CHECKING:
    from webnn.graph.ir import Node

__all__ = ["MLOperand"]


class MLOperand(Unpicklable):
    """A value that a graph computes, is given (an input), or knows (a constant).

    Made by the methods of `MLGraphBuilder`, never directly. It has no data: read the output of a graph for that.

    It belongs to the builder that made it, through a token, so that a finished graph does not keep its builder alive.
    """

    __slots__ = ("constant", "descriptor", "name", "node", "owner")

    _why_unpicklable: ClassVar[str] = (
        "it is a part of the graph that its builder builds. Save the built graph with graph.save(path) and send the"
        " path; an operand may be used any number of times without a copy"
    )

    descriptor: MLOperandDescriptor
    owner: object
    node: Node | None
    """The operator that computes it; None for inputs and constants."""
    name: str | None
    """The name of an input; None for everything else."""
    constant: np.ndarray[Any, Any] | None
    """The value of a constant, C-contiguous and in native byte order; None for everything else."""

    def __init__(
        self,
        owner: object,
        descriptor: MLOperandDescriptor,
        *,
        node: Node | None = None,
        name: str | None = None,
        constant: np.ndarray[Any, Any] | None = None,
    ) -> None:
        self.owner = owner
        self.descriptor = descriptor
        self.node = node
        self.name = name
        self.constant = constant

    @property
    def data_type(self) -> DataType:
        """The type of each element."""
        return self.descriptor.data_type

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions; empty for a scalar."""
        return self.descriptor.shape

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.descriptor.shape)

    def __repr__(self) -> str:
        if self.name is not None:
            what = f"input {self.name!r}"
        elif self.node is not None:
            what = f"of {self.node.op}"
        else:
            what = "constant"
        return f"<MLOperand {what}: {self.data_type} {list(self.shape)}>"

    def _no_data(self, what: str) -> NoReturn:
        raise TypeError(f"{self!r} has no {what}: build a graph, run it and read its output")

    def __bool__(self) -> bool:
        self._no_data("truth value")

    def __len__(self) -> int:
        self._no_data("length (use .shape)")

    def __array__(self, *_: object, **__: object) -> np.ndarray[Any, Any]:
        self._no_data("data")
