"""Compiling for ONNX Runtime's CPU execution provider."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any, ClassVar

import numpy as np
from onnxruntime import OrtValue
from onnxruntime.capi import _pybind_state as native

from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.backends.onnx.lowerings import lower
from webnn.backends.onnxruntime.executable import CPU, OnnxRuntimeExecutable
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.backends.onnxruntime.threads import SMALL_WORK, work
from webnn.backends.onnxruntime.weights import FOLDER, leave_in_files
from webnn.errors import OperationError
from webnn.graph.ir import Graph

__all__ = ["OnnxRuntimeBackend"]


class OnnxRuntimeBackend(Backend):
    """ONNX Runtime on the CPU."""

    name: ClassVar[str] = "onnxruntime"

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Lower to ONNX and make a session; large constants are handed over in place, or stay in their files."""
        model = lower(graph, cpu_kernels(), cancellation.checkpoint)
        proto = model.finish()
        settings = native.SessionOptions()
        settings.log_severity_level = 4
        _configure(settings, options, small=work(graph) < SMALL_WORK)
        folder, arrays = leave_in_files(proto, model.external)
        if folder is not None:
            settings.add_session_config_entry(FOLDER, str(folder))
        values = {name: native.OrtValue.ortvalue_from_numpy(array, CPU) for name, array in arrays.items()}
        if values:
            settings.add_external_initializers(list(values), [OrtValue(value) for value in values.values()])
        cancellation.on_cancel(lambda: settings.set_load_cancellation_flag(True))
        try:
            session: Any = native.InferenceSession(settings, proto.SerializeToString(), False, False)
            session.initialize_session(["CPUExecutionProvider"], [{}], set())
        except Exception as error:  # onnxruntime's exceptions have no common base
            if cancellation.cancelled:
                raise CancelledError from error
            raise OperationError(f"onnxruntime: {error}") from error
        weights: list[np.ndarray[Any, Any]] = list(arrays.values())
        return OnnxRuntimeExecutable(
            inputs=list(graph.input_descriptors.items()),
            outputs=list(graph.output_descriptors.items()),
            byte_length=sum(array.nbytes for array in model.external.values()),
            session=session,
            input_names=list(model.input_names.values()),
            output_names=list(model.output_names.values()),
            weights=[*weights, *values.values()],
        )


def _configure(settings: Any, options: CompileOptions, *, small: bool) -> None:
    """Threads, spinning and memory of a session; docs/runtime.md has the measurements behind each line."""
    settings.intra_op_num_threads = options.threads or (1 if small else 0)
    if small:
        # Few and small intermediate results: the arena and the plan for it cost more than they save.
        settings.enable_cpu_mem_arena = False
        settings.enable_mem_pattern = False
    # A pool that goes on spinning takes the core that the next session, or the caller, needs; but between the
    # operators of one run, and from one run of a loop to the next, spinning is what makes two threads worth it.
    settings.add_session_config_entry("session.intra_op.spin_duration_us", "300")
    # Products with dequantized weights are floats times floats: by default the other factor would be rounded to int8.
    settings.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
