"""The W3C Web Neural Network API for Python: an async, lazily evaluated, pipelined tensor runtime.

The packages, from the ground up: `errors`; `forking` (locks, and what a forked child gives up); `graph` (data types,
operators, the builder); `memory` (buffers and pools); `backends` (compile and execute graphs); `scheduler` (a context's
timeline); `runtime` (contexts, graphs, tensors); `formats` (import and export of models); `targets` (what browsers
build); `view` (graphs and traces as pages); `model` (a model file as one object); `browsers` (graphs in the browsers of
this machine); `serving` (models over HTTP); `cli` (the command `webnn`, whose first moments are in `starting`). Each
imports only those before it. Importing this package loads no backend, and no library of a format.
"""

from typing import TYPE_CHECKING

from webnn import errors, starting
from webnn.backends.registry import BackendInfo, available_backends
from webnn.errors import MLError
from webnn.forking import late_names
from webnn.formats import import_onnx, import_webnn, load_onnx, load_webnn
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.operand import MLOperand
from webnn.graph.other_names import MODULE
from webnn.memory.pool import MemoryInfo
from webnn.runtime.context import MLContext
from webnn.runtime.device import MLContextLostInfo
from webnn.runtime.graph import MLGraph
from webnn.runtime.ml import ML, create_context
from webnn.runtime.tensor import MLTensor
from webnn.scheduler.promise import Promise
from webnn.scheduler.results import Dispatch
from webnn.scheduler.statistics import GraphStatistics, Histogram, Statistics

if TYPE_CHECKING:
    from webnn.formats.safetensors import load_safetensors, save_safetensors
    from webnn.model.model import AsyncModel, Model, ModelStatistics
    from webnn.runtime.audit import Audit, AuditFinding
    from webnn.runtime.events import TraceEvent
    from webnn.runtime.record import Program
    from webnn.runtime.streaming.pieces import ItemError
    from webnn.runtime.streaming.stream import Stream
    from webnn.runtime.streaming.window import StreamStatistics
    from webnn.runtime.tracing import Trace
    from webnn.runtime.views import View
    from webnn.targets.checking import Verdict, check
    from webnn.targets.fitting import Fit, fit
else:
    __getattr__ = late_names(
        __name__,
        {
            "webnn.formats.safetensors": ("load_safetensors", "save_safetensors"),
            "webnn.model.model": ("AsyncModel", "Model", "ModelStatistics"),
            "webnn.runtime.audit": ("Audit", "AuditFinding"),
            "webnn.runtime.events": ("TraceEvent",),
            "webnn.runtime.record": ("Program",),
            "webnn.runtime.streaming.pieces": ("ItemError",),
            "webnn.runtime.streaming.stream": ("Stream",),
            "webnn.runtime.streaming.window": ("StreamStatistics",),
            "webnn.runtime.tracing": ("Trace",),
            "webnn.runtime.views": ("View",),
            "webnn.targets.checking": ("Verdict", "check"),
            "webnn.targets.fitting": ("Fit", "fit"),
        },
        MODULE,
    )

starting.started()

__version__ = "0.1.0"

__all__ = [
    "ML",
    "AsyncModel",
    "Audit",
    "AuditFinding",
    "BackendInfo",
    "Dispatch",
    "Fit",
    "GraphStatistics",
    "Histogram",
    "ItemError",
    "MLContext",
    "MLContextLostInfo",
    "MLError",
    "MLGraph",
    "MLGraphBuilder",
    "MLOperand",
    "MLOperandDescriptor",
    "MLTensor",
    "MemoryInfo",
    "Model",
    "ModelStatistics",
    "Program",
    "Promise",
    "Statistics",
    "Stream",
    "StreamStatistics",
    "Trace",
    "TraceEvent",
    "Verdict",
    "View",
    "available_backends",
    "check",
    "create_context",
    "errors",
    "fit",
    "import_onnx",
    "import_webnn",
    "load_onnx",
    "load_safetensors",
    "load_webnn",
    "save_safetensors",
]


def __dir__() -> list[str]:
    """The public names, also those that are imported when they are first used."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
