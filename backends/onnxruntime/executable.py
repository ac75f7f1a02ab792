"""A compiled onnxruntime session, run on buffers that are bound in place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import field
from typing import Any, Final

import numpy as np

from webnn.backends.base import Ending, Executable
from webnn.backends.onnxruntime import native
from webnn.errors import OperationError
from webnn.graph.quick_dataclass import dataclass
from webnn.memory.buffer import BORROWED, View

__all__ = ["CPU", "OnnxRuntimeExecutable"]

CPU: Final = native.OrtDevice(native.OrtDevice.cpu(), native.OrtDevice.default_memory(), 0)


KEPT: Final = 128
"""The bindings that an executable keeps. A loop over more combinations of buffers binds again in every run."""

_DEFAULTS: Final = native.RunOptions()  # without options onnxruntime makes these in each run, which takes 0.5 us
_NOTHING: Final = native.OrtValue.ortvalue_from_numpy(np.zeros(1, np.uint8), CPU)
_UNBOUND: Final = object()  # unlike None, no handle of a view that is new


class _Ending(Ending):
    """Ends a run of onnxruntime, which looks at its options before each operator."""

    __slots__ = ("options",)

    def __init__(self) -> None:
        super().__init__()
        self.options = native.RunOptions()

    def end(self) -> None:
        self.asked = True  # first: the run may end before this returns
        self.options.terminate = True


class _Binding:
    """An io-binding and the OrtValues that are bound to it. One run at a time uses it.

    It does not keep views: the pool counts the buffer of every view that is kept.
    """

    __slots__ = ("borrowed", "handles", "io")

    def __init__(self, executable: OnnxRuntimeExecutable) -> None:
        self.io = native.SessionIOBinding(executable.session)
        for name, value in executable.parameters:
            self.io.bind_ortvalue_input(name, value)
        self.borrowed: list[int] = []
        """The inputs that are bound for one run only."""
        self.handles: list[object] = [_UNBOUND] * (len(executable.inputs) + len(executable.outputs))

    def bind(self, executable: OnnxRuntimeExecutable, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Bind the views that differ from those of the last run."""
        bound, i = self.handles, 0
        self.borrowed.clear()
        for bind, names, views in (
            (self.io.bind_ortvalue_input, executable.input_names, inputs),
            (self.io.bind_ortvalue_output, executable.output_names, outputs),
        ):
            for name, view in zip(names, views, strict=True):
                if view.handle is BORROWED:
                    self.borrowed.append(i)  # an input, since nothing computes into memory of the program
                    bound[i] = BORROWED
                elif view.handle is not bound[i]:
                    if view.handle is None:  # an OrtValue is made once for each view
                        view.handle = native.OrtValue.ortvalue_from_numpy(view.array, CPU)
                    value = view.handle
                    if name in executable.bool_names:
                        value = native.OrtValue.ortvalue_from_numpy(view.array.view(np.bool_), CPU)
                    bind(name, value)
                    bound[i] = view.handle
                i += 1

    def run(self, executable: OnnxRuntimeExecutable, inputs: Sequence[View], options: Any) -> None:
        """Run with the borrowed views among `inputs`, which must not be bound any more when the run has ended."""
        for i in self.borrowed:
            value = native.OrtValue.ortvalue_from_numpy(inputs[i].array, CPU)
            self.io.bind_ortvalue_input(executable.input_names[i], value)
        try:
            executable.session.run_with_iobinding(self.io, options)
        finally:
            for i in self.borrowed:
                self.io.bind_ortvalue_input(executable.input_names[i], _NOTHING)


@dataclass(slots=True)
class OnnxRuntimeExecutable(Executable):
    """Runs a session.

    A loop meets the same few combinations of buffers again and again. So each combination keeps its binding, and is
    bound once. Several runs at once never share one, since each has outputs of its own.
    """

    session: Any = None
    """The native `InferenceSession`."""
    input_names: Sequence[str] = ()
    output_names: Sequence[str] = ()
    bool_names: Collection[str] = ()
    """Those of outputs that are bool in the model: their bytes are 0 and 1, as the graph has them in uint8."""
    weights: Sequence[Any] = ()
    """The arrays and OrtValues that the session reads in place: they must live as long as it does."""
    parameters: Sequence[tuple[str, Any]] = ()
    """Further inputs of the session with their OrtValues, which are the same in every run."""
    _bindings: dict[tuple[object, ...], _Binding] = field(default_factory=dict)
    """By the handles that are bound; the binding that was used last comes last. A run takes its binding out."""

    def run(self, inputs: Sequence[View], outputs: Sequence[View], options: Any = _DEFAULTS) -> None:
        """Run on these views, which are bound in place."""
        handles = []
        for view in inputs:
            handles.append(view.handle)
        for view in outputs:
            handles.append(view.handle)
        key = tuple(handles)
        binding = self._bindings.pop(key, None)
        try:
            if binding is None:
                binding = self._any_binding()
                binding.bind(self, inputs, outputs)
                key = tuple(binding.handles)
            if binding.borrowed:
                binding.run(self, inputs, options)
            else:
                self.session.run_with_iobinding(binding.io, options)
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise OperationError(f"onnxruntime: {error}") from error
        self._bindings[key] = binding

    def ending(self) -> Ending:
        """Ends the run between two operators."""
        return _Ending()

    def run_until(self, inputs: Sequence[View], outputs: Sequence[View], ending: Ending) -> None:
        """Run with options of its own, in which `ending` sets the flag `terminate`."""
        assert isinstance(ending, _Ending)
        try:
            self.run(inputs, outputs, ending.options)
        except OperationError as error:
            if ending.asked:
                raise CancelledError from error
            raise

    def _any_binding(self) -> _Binding:
        """The binding that has not been used for the longest time, or a new one if there is still room for it."""
        bindings, oldest = self._bindings, None
        while len(bindings) >= KEPT:
            with suppress(RuntimeError, StopIteration, KeyError):  # another thread was faster
                oldest = bindings.pop(next(iter(bindings)))
        return oldest or _Binding(self)
