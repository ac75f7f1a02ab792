"""A compiled onnxruntime session, run on buffers that are bound in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from webnn.backends.base import Executable
from webnn.backends.onnxruntime import native
from webnn.errors import OperationError
from webnn.memory.buffer import View

__all__ = ["CPU", "OnnxRuntimeExecutable"]

CPU: Final = native.OrtDevice(native.OrtDevice.cpu(), native.OrtDevice.default_memory(), 0)


class _Binding:
    """An io-binding and the views that are bound to it. One run at a time uses it."""

    __slots__ = ("inputs", "io", "outputs")

    def __init__(self, executable: OnnxRuntimeExecutable) -> None:
        self.io = native.SessionIOBinding(executable.session)
        self.inputs: list[View | None] = [None] * len(executable.inputs)
        self.outputs: list[View | None] = [None] * len(executable.outputs)


@dataclass(slots=True)
class OnnxRuntimeExecutable(Executable):
    """Runs a session. Each of several runs at once has a binding of its own, which is kept for the next run."""

    session: Any = None
    """The native `InferenceSession`."""
    input_names: Sequence[str] = ()
    output_names: Sequence[str] = ()
    weights: Sequence[Any] = ()
    """The arrays and OrtValues that the session reads in place: they must live as long as it does."""
    _bindings: list[_Binding] = field(default_factory=list)

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Bind the views that have changed since the binding's last run, and run."""
        try:
            binding = self._bindings.pop()
        except IndexError:
            binding = _Binding(self)
        io = binding.io
        try:
            if inputs != binding.inputs:
                _bind(io.bind_ortvalue_input, self.input_names, inputs, binding.inputs)
            if outputs != binding.outputs:
                _bind(io.bind_ortvalue_output, self.output_names, outputs, binding.outputs)
            self.session.run_with_iobinding(io, None)
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise OperationError(f"onnxruntime: {error}") from error
        self._bindings.append(binding)


def _bind(
    bind: Callable[[str, Any], None], names: Sequence[str], views: Sequence[View], bound: list[View | None]
) -> None:
    """Bind those views that are not bound already."""
    for i, view in enumerate(views):
        if view is not bound[i]:
            bind(names[i], view.handle or _ort_value(view))
            bound[i] = view


def _ort_value(view: View) -> Any:
    """An OrtValue over the view's memory, made once per view."""
    value = view.handle = native.OrtValue.ortvalue_from_numpy(view.array, CPU)
    return value
