"""The tables that lower operators: one per backend, filled by the modules of its families.

::

    lowerings = Lowerings[OnnxLowering]("onnx")

    @lowerings.lowers("gemm")
    def gemm(node: Node, model: Model) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from webnn.errors import NotSupportedError
from webnn.forking import import_whole
from webnn.graph.ir import Node

__all__ = ["Lowerings"]

F = TypeVar("F", bound=Callable[..., Any])


class Lowerings(Generic[F]):
    """Operator name to the function that lowers it.

    Args:
        backend: what messages call the table.
        families: the module that imports every module which fills the table. Default: they are all imported already.
        family_of: the one module, if it is known, that lowers an operator. It is imported with the first such node.
    """

    def __init__(
        self, backend: str, families: str | None = None, family_of: Callable[[str], str | None] | None = None
    ) -> None:
        self.backend = backend
        self._table: dict[str, F] = {}
        self._families = families
        self._family_of = family_of

    def lowers(self, *ops: str) -> Callable[[F], F]:
        """Register the decorated function for `ops`; each operator is lowered once.

        An import that Ctrl-C has cut off is made again, and so are its functions.
        """

        def register(function: F) -> F:
            for op in ops:
                other = self._table.setdefault(op, function)
                is_same = (other.__module__, other.__qualname__) == (function.__module__, function.__qualname__)
                assert is_same, f"{op} is lowered twice for {self.backend}"
                self._table[op] = function
            return function

        return register

    def __getitem__(self, node: Node) -> F:
        found = self._table.get(node.op)
        if found is None and self._family_of is not None and (module := self._family_of(node.op)) is not None:
            import_whole(module)
            found = self._table.get(node.op)
        if found is None:
            found = self._whole().get(node.op)
        if found is None:
            raise NotSupportedError(f"{node.where}: the {self.backend} backend cannot lower this operator")
        return found

    def __contains__(self, op: str) -> bool:
        return op in self._whole()

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole())

    def _whole(self) -> Mapping[str, F]:
        if self._families is not None:
            import_whole(self._families)
        return self._table
