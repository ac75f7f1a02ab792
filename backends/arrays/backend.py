"""The reference backend: the graph, node by node, on the arrays of NumPy or of another library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from webnn.backends.arrays import families as _families  # noqa: F401 (registers the kernels)
from webnn.backends.arrays.kernels import Array, Kernel, dtype_of, kernels
from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.errors import OperationError
from webnn.graph.arguments import described
from webnn.graph.donation import graph_donations
from webnn.graph.dtypes import DATA_TYPES
from webnn.graph.in_place import ARITHMETIC, InPlace, in_place_outputs
from webnn.graph.ir import Graph, Node
from webnn.graph.limits import LimitsTable, narrowed
from webnn.graph.operand import MLOperand
from webnn.memory.buffer import View

__all__ = ["ArraysBackend", "ArraysExecutable"]


@dataclass(slots=True)
class Step:
    """One node: its kernel, and the intermediate values that are not read after it."""

    node: Node
    kernel: Kernel
    last_read: tuple[int, ...] = ()


@dataclass(slots=True)
class ArraysExecutable(Executable):
    """A graph as a list of kernels to call, on the arrays of the library whose namespace is `xp`."""

    xp: Any = np
    graph: Graph | None = None
    steps: list[Step] = field(default_factory=list)
    constants: dict[int, Any] = field(default_factory=dict)

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Run each kernel in turn and copy the outputs into their views."""
        with np.errstate(all="ignore"):
            results = self.compute([self.xp.asarray(view.array) for view in inputs])
            for result, view in zip(results, outputs, strict=True):
                view.array[...] = result

    def compute(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs, as arrays of the library, from such inputs. Changes nothing, so that `jax.jit` can trace it."""
        assert self.graph is not None
        values = dict(self.constants)
        values.update(zip(map(id, self.graph.inputs.values()), inputs, strict=True))
        for step in self.steps:
            self._compute(step, values)
        return [values[id(operand)] for operand in self.graph.outputs.values()]

    def _compute(self, step: Step, values: dict[int, Any]) -> None:
        node = step.node
        operands = {
            name: values[id(o)] if isinstance(o, MLOperand) else tuple(values[id(i)] for i in o)
            for name, o in node.operands.items()
        }
        try:
            results = step.kernel(self.xp, node, operands)
        except Exception as error:
            raise OperationError(f"{node.where}: {described(error)}") from error
        results = results if isinstance(results, tuple | list) else (results,)
        for operand, result in zip(node.outputs, results, strict=True):
            assert (result.dtype, result.shape) == (dtype_of(self.xp, operand), operand.shape), (
                f"{node.where}: kernel gave {result.dtype} {result.shape}, not {operand.descriptor!r}"
            )
            values[id(operand)] = result
        for key in step.last_read:
            values.pop(key, None)


class ArraysBackend(Backend):
    """Every operator, written to be read beside the specification; the others are compared with it.

    Args:
        xp: the namespace of a library that follows the array-API standard. Data types that it lacks are left out of
            `op_support_limits()`.
    """

    name: ClassVar[str] = "arrays"
    # The results of these kernels share no memory with their operands, and are copied to the outputs when all is read.
    in_place: ClassVar[InPlace] = InPlace(frozenset({"scatter_elements", "scatter_nd"}), ARITHMETIC)

    executable: ClassVar[type[ArraysExecutable]] = ArraysExecutable

    def __init__(self, xp: Any = np) -> None:
        self.xp = xp

    def support_limits(self) -> LimitsTable:
        """The specification's table, without the data types that the library lacks."""
        missing = [data_type for data_type, row in DATA_TYPES.items() if not self._takes(row.dtype)]
        table = super().support_limits()
        return narrowed({op: dict.fromkeys(rows, missing) for op, rows in table.items()}, table)

    def _takes(self, dtype: np.dtype[Any]) -> bool:
        try:
            self.xp.asarray(np.empty(0, dtype))
        except Exception:  # each library has its own error for a data type that it lacks
            return False
        return True

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Look up the kernel of each node, and the step that reads each intermediate value last."""
        steps = [Step(node, kernels[node]) for node in graph.nodes]
        kept = {id(o) for o in graph.outputs.values()} | {id(o) for o in graph.constants}
        for step in reversed(steps):
            # Outputs that are never read are dropped by the step that makes them.
            mentioned = dict.fromkeys([id(o) for o in step.node.inputs()] + [id(o) for o in step.node.outputs])
            step.last_read = tuple(key for key in mentioned if key not in kept)
            kept.update(step.last_read)
        cancellation.checkpoint()
        return self.executable(
            inputs=list(graph.input_descriptors.items()),
            outputs=list(graph.output_descriptors.items()),
            byte_length=0,
            in_place=in_place_outputs(graph, graph_donations(graph, self.in_place).pairs),
            xp=self.xp,
            graph=graph,
            steps=steps,
            constants={id(o): self.xp.asarray(o.constant) for o in graph.constants},
        )
