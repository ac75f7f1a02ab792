"""The reference backend: the graph, node by node, on NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from webnn.backends.arrays import families as _families  # noqa: F401 (registers the kernels)
from webnn.backends.arrays.kernels import Kernel, kernels
from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.errors import OperationError
from webnn.graph.arguments import described
from webnn.graph.donation import ARITHMETIC, InPlace, graph_donations
from webnn.graph.in_place import in_place_outputs
from webnn.graph.ir import Graph, Node
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
    """A graph as a list of kernels to call."""

    xp: Any = np
    graph: Graph | None = None
    steps: list[Step] = field(default_factory=list)
    constants: dict[int, Any] = field(default_factory=dict)

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Run each kernel in turn and copy the outputs into their views."""
        assert self.graph is not None
        values = dict(self.constants)
        for operand, view in zip(self.graph.inputs.values(), inputs, strict=True):
            values[id(operand)] = view.array
        with np.errstate(all="ignore"):
            for step in self.steps:
                self._compute(step, values)
            for operand, view in zip(self.graph.outputs.values(), outputs, strict=True):
                view.array[...] = values[id(operand)]

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
            expected = operand.descriptor
            assert (result.dtype, result.shape) == (expected.dtype, expected.shape), (
                f"{node.where}: kernel gave {result.dtype} {result.shape}, not {expected!r}"
            )
            values[id(operand)] = result
        for key in step.last_read:
            values.pop(key, None)


class ArraysBackend(Backend):
    """Every operator, written to be read beside the specification; the others are compared with it."""

    name: ClassVar[str] = "arrays"
    # The results of these kernels share no memory with their operands, and are copied to the outputs when all is read.
    in_place: ClassVar[InPlace] = InPlace(frozenset({"scatter_elements", "scatter_nd"}), ARITHMETIC)

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
        return ArraysExecutable(
            inputs=list(graph.input_descriptors.items()),
            outputs=list(graph.output_descriptors.items()),
            byte_length=0,
            in_place=in_place_outputs(graph, graph_donations(graph, self.in_place).pairs),
            graph=graph,
            steps=steps,
            constants={id(o): o.constant for o in graph.constants},
        )
