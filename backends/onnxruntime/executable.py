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


_UNBOUND: Final = object()  # unlike None, no handle of a view that is new


class _Binding:
    """An io-binding and the OrtValues that are bound to it. One run at a time uses it.

    It does not keep views: the pool counts the buffer of every view that is kept.
    """

    __slots__ = ("inputs", "io", "outputs")

    def __init__(self, executable: OnnxRuntimeExecutable) -> None:
        self.io = native.SessionIOBinding(executable.session)
        self.inputs: list[object] = [_UNBOUND] * len(executable.inputs)
        self.outputs: list[object] = [_UNBOUND] * len(executable.outputs)


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
            bound = binding.inputs
            for i, view in enumerate(inputs):
                if view.handle is not bound[i]:
                    bound[i] = _bind(io.bind_ortvalue_input, self.input_names[i], view)
            bound = binding.outputs
            for i, view in enumerate(outputs):
                if view.handle is not bound[i]:
                    bound[i] = _bind(io.bind_ortvalue_output, self.output_names[i], view)
            self.session.run_with_iobinding(io, None)
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise OperationError(f"onnxruntime: {error}") from error
        self._bindings.append(binding)


def _bind(bind: Callable[[str, Any], None], name: str, view: View) -> object:
    """Bind an OrtValue over the view's memory, which is made once per view."""
    if view.handle is None:
        view.handle = native.OrtValue.ortvalue_from_numpy(view.array, CPU)
    bind(name, view.handle)
    return view.handle
