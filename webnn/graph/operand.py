"""`MLOperand`: an edge of a graph.

Spec: https://www.w3.org/TR/webnn/#api-mloperand
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from webnn.errors import InvalidStateError
from webnn.graph.arithmetic import Arithmetic
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DataType
from webnn.graph.frozen import setters
from webnn.graph.other_names import OPERAND
from webnn.graph.quick_dataclass import dataclass
from webnn.graph.spelling import named_elsewhere
from webnn.graph.unpicklable import Unpicklable

if TYPE_CHECKING:
    from webnn.graph.builder import MLGraphBuilder
    from webnn.graph.ir import Node

__all__ = ["MLOperand", "Owner"]


class Owner:
    """The token of a builder in its operands. It does not keep the builder alive."""

    __slots__ = ("builder",)

    def __init__(self, builder: MLGraphBuilder[Any]) -> None:
        self.builder = weakref.ref(builder)


@named_elsewhere(OPERAND)
@dataclass(frozen=True, slots=True, eq=False, init=False, repr=False)
class MLOperand(Arithmetic, Unpicklable):
    """A value of a graph: an input, a constant, or the result of an operator.

    The methods of `MLGraphBuilder` make operands. An operand holds no data and never changes. To see values, run the
    graph and read its outputs.

    Python's operators call these methods: `x * 2 + b`, `2 ** x`, `x @ w`, `-x`, `abs(x)` and `x[0, 1:-1, ::2]`. The
    other side may be an operand, a number, which becomes a constant of the operand's data type, or an array.
    Comparisons are methods only, such as `builder.lesser(a, b)`.

    >>> import webnn
    >>> with webnn.create_context() as context:
    ...     builder = webnn.MLGraphBuilder(context)
    ...     x = builder.input("x", [3], "float32")
    ...     graph = builder.build({"y": (x * 2 + 1)[::-1]})
    ...     context.compute(graph, {"x": [1, 2, 3]})["y"].tolist()
    [7.0, 5.0, 3.0]

    An operand belongs to the builder that made it. It keeps a token instead of the builder itself, so that the
    builder can be freed while the graph lives.
    """

    _why_unpicklable: ClassVar[str] = (
        "it is a part of the graph that its builder builds. Save the built graph with graph.save(path) and send the"
        " path; an operand may be used any number of times without a copy"
    )

    owner: object
    descriptor: MLOperandDescriptor
    node: Node | None
    """The operator that computes it; None for inputs and constants."""
    name: str | None
    """The name of an input; None for other operands."""
    constant: np.ndarray[Any, Any] | None
    """The value of a constant, C-contiguous and in native byte order; None for other operands."""

    def __init__(
        self,
        owner: object,
        descriptor: MLOperandDescriptor,
        *,
        node: Node | None = None,
        name: str | None = None,
        constant: np.ndarray[Any, Any] | None = None,
    ) -> None:
        _set_owner(self, owner)
        _set_descriptor(self, descriptor)
        _set_node(self, node)
        _set_name(self, name)
        _set_constant(self, constant)

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

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of each element."""
        return self.descriptor.dtype

    def _its_builder(self) -> MLGraphBuilder[Any]:
        builder = self.owner.builder() if isinstance(self.owner, Owner) else None
        if builder is None:
            raise InvalidStateError(f"the builder of {self!r} is gone: keep it until the graph is built")
        return builder

    def __repr__(self) -> str:
        if self.name is not None:
            what = f"input {self.name!r}"
        elif self.node is not None:
            what = f"of {self.node.op}"
        else:
            what = "constant"
        return f"<MLOperand {what}: {self.descriptor}>"

    def _no_data(self, what: str) -> NoReturn:
        raise TypeError(f"{self!r} has no {what}: build a graph, run it and read its output")

    def __bool__(self) -> bool:
        self._no_data("truth value")

    def __float__(self) -> float:
        self._no_data("number")

    def __int__(self) -> int:
        self._no_data("number")

    def __len__(self) -> int:
        self._no_data("length (use .shape)")

    def __array__(self, *_: object, **__: object) -> np.ndarray[Any, Any]:
        self._no_data("data")


_set_owner, _set_descriptor, _set_node, _set_name, _set_constant = setters(MLOperand)
