"""The tables that lower operators: one per backend, filled by the modules of its families.

::

    lowerings = Lowerings[OnnxLowering]("onnx")

    @lowerings.lowers("gemm")
    def gemm(node: Node, model: Model) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from webnn.errors import NotSupportedError
from webnn.graph.ir import Node

__all__ = ["Lowerings"]

F = TypeVar("F", bound=Callable[..., Any])


class Lowerings(Generic[F]):
    """Operator name to the function that lowers it."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self._table: dict[str, F] = {}

    def lowers(self, *ops: str) -> Callable[[F], F]:
        """Register the decorated function for `ops`; each operator is lowered once."""

        def register(function: F) -> F:
            for op in ops:
                assert op not in self._table, f"{op} is lowered twice for {self.backend}"
                self._table[op] = function
            return function

        return register

    def __getitem__(self, node: Node) -> F:
        try:
            return self._table[node.op]
        except KeyError:
            raise NotSupportedError(f"{node.where}: the {self.backend} backend cannot lower this operator") from None

    def __contains__(self, op: str) -> bool:
        return op in self._table

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)
