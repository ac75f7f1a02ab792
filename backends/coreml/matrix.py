"""Matrix products in Core ML."""

from __future__ import annotations

from webnn.backends.coreml.lowerings import lowerings, one_to_one
from webnn.backends.coreml.program import Program
from webnn.graph.ir import Node

__all__: list[str] = []

one_to_one({"matmul": "matmul"})


@lowerings.lowers("gemm")
def gemm(node: Node, program: Program) -> None:
    """`alpha * a @ b + beta * c`; as in BLAS, a `beta` of 0 also removes infinities of `c`."""
    options = node.attributes
    a, b, c = program[node["a"]], program[node["b"]], node.get("c")
    held = program.type_of(a)
    result = program.emit("matmul", x=a, y=b, transpose_x=options["a_transpose"], transpose_y=options["b_transpose"])
    if options["alpha"] != 1:
        result = program.emit("mul", x=result, y=program.number(options["alpha"], held))
    if c is not None and options["beta"] != 0:
        addend = program[c]
        if options["beta"] != 1:
            addend = program.emit("mul", x=addend, y=program.number(options["beta"], held))
        result = program.emit("add", x=result, y=addend)
    program.set(node.output, result)
