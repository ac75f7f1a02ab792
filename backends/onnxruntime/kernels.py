"""The data types for which the installed onnxruntime has CPU kernels, from a table or its own registry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from webnn.backends.onnx.signatures import OPSET, Kernels
from webnn.backends.onnxruntime import native
from webnn.backends.onnxruntime.kernel_types import VERSION, kernel_types

__all__ = ["CpuKernels", "cpu_kernels"]

_NAMES = {"tensor(float)": "float32", "tensor(double)": "float64"}


class CpuKernels(Kernels):
    """The registered kernels of the CPU execution provider, for the operator set that the lowerings speak.

    The registry has thousands of kernels, and takes 5 ms to list. So it is read only for another version than that of
    the table `kernel_types`, or for an operator that the table lacks; graphs of floats need neither.
    """

    everywhere = frozenset({"float32", "float16"})
    divides_in_turn = True
    powers_in_floats = True
    keeps_bool = True

    def __init__(self) -> None:
        self._types: dict[tuple[str, str], Mapping[str, frozenset[str]]] = {}

    def has(self, op_type: str, domain: str = "") -> bool:
        """Whether there is any kernel of the operator."""
        return (op_type, domain) in _registered()

    def types(self, op_type: str, domain: str, variable: str) -> frozenset[str] | None:
        """The types that may stand for the schema's type `variable`; None if the kernel does not constrain it."""
        key = (op_type, domain)
        if key not in self._types:
            known = kernel_types(op_type) if not domain and native.version.startswith(VERSION) else None
            self._types[key] = _types(_registered().get(key, ())) if known is None else known
        types = self._types[key].get(variable)
        # onnxruntime itself casts what has no kernel for float16, and leaves out the casts between two such nodes.
        return types | {"float16"} if types is not None and "float32" in types else types


@cache
def _registered() -> Mapping[tuple[str, str], Sequence[Any]]:
    """The newest kernels of each operator and domain."""
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    newest: dict[tuple[str, str], int] = {}
    for kernel in native.get_all_opkernel_def():
        since, until = kernel.version_range
        if kernel.provider != "CPUExecutionProvider" or not (since <= OPSET <= until or kernel.domain):
            continue
        key = (kernel.op_name, kernel.domain)
        if since > newest.get(key, 0):  # a later version of a kernel replaces the earlier one
            newest[key] = since
            found[key].clear()
        found[key].append(kernel)
    return found


def _types(kernels: Iterable[Any]) -> dict[str, frozenset[str]]:
    """The types that any of the kernels of one operator takes, by the schema's variable."""
    found: dict[str, set[str]] = defaultdict(set)
    for kernel in kernels:
        for variable, types in kernel.type_constraints.items():
            found[variable].update(_NAMES.get(t, t.removeprefix("tensor(").removesuffix(")")) for t in types)
    return {variable: frozenset(types) for variable, types in found.items()}


@cache
def cpu_kernels() -> CpuKernels:
    """The kernels of this process."""
    return CpuKernels()
