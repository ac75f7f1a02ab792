"""The data types for which the installed onnxruntime has CPU kernels, from its own registry."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

from webnn.backends.onnx.model import OPSET
from webnn.backends.onnxruntime import native

__all__ = ["CpuKernels", "cpu_kernels"]

_NAMES = {"tensor(float)": "float32", "tensor(double)": "float64"}


class CpuKernels:
    """The registered kernels of the CPU execution provider, for the operator set that the lowerings speak."""

    def __init__(self) -> None:
        self._types: dict[tuple[str, str], dict[str, frozenset[str]]] = {}
        found: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        newest: dict[tuple[str, str], int] = {}
        for kernel in native.get_all_opkernel_def():
            since, until = kernel.version_range
            if kernel.provider != "CPUExecutionProvider" or not (since <= OPSET <= until or kernel.domain):
                continue
            key = (kernel.op_name, kernel.domain)
            if since > newest.get(key, 0):  # a later version of a kernel replaces the earlier one
                newest[key] = since
                found[key].clear()
            for variable, types in kernel.type_constraints.items():
                found[key][variable].update(_NAMES.get(t, t.removeprefix("tensor(").removesuffix(")")) for t in types)
        for key, variables in found.items():
            self._types[key] = {variable: frozenset(types) for variable, types in variables.items()}

    def has(self, op_type: str, domain: str = "") -> bool:
        """Whether there is any kernel of the operator."""
        return (op_type, domain) in self._types

    def types(self, op_type: str, domain: str, variable: str) -> frozenset[str] | None:
        """The types that may stand for the schema's type `variable`; None if the kernel does not constrain it."""
        types = self._types.get((op_type, domain), {}).get(variable)
        # onnxruntime itself casts what has no kernel for float16, and leaves out the casts between two such nodes.
        return types | {"float16"} if types is not None and "float32" in types else types


@cache
def cpu_kernels() -> CpuKernels:
    """The table, read once per process (about 10 ms)."""
    return CpuKernels()
