"""The Core ML backend: graphs as ML Programs, run on macOS by coremltools.

It has never run on a Mac: what it saves is checked elsewhere (see docs/devices.md), and running it is kept small.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from webnn.backends.base import Backend, Cancellation, CompileOptions, DeviceInfo, DeviceType, Executable
from webnn.backends.coreml.export import MISSING, import_coremltools, write_package
from webnn.backends.coreml.limits import coreml_limits
from webnn.backends.coreml.program import held_shape
from webnn.backends.processors import processor_name
from webnn.errors import OperationError, ValidationError
from webnn.forking import reentrant_lock
from webnn.graph.arguments import described
from webnn.graph.arrays import beyond
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Graph
from webnn.graph.limits import LimitsTable
from webnn.memory.buffer import View

__all__ = ["CoreMLBackend"]

_MACOS: Final = 14
"""The first macOS that reads the packages: its operations are those of iOS 17."""
_UNITS: Final[Mapping[str, DeviceType]] = {
    "ALL": "npu",
    "CPU_AND_GPU": "gpu",
    "CPU_AND_NE": "npu",
    "CPU_ONLY": "cpu",
}
"""The compute units by their names in coremltools, with the device that they are chosen for."""


@dataclass(slots=True)
class CoreMLExecutable(Executable):
    """Runs a model, one run at a time."""

    model: Any = None
    input_names: Sequence[str] = ()
    output_names: Sequence[str] = ()
    lock: Any = field(default_factory=reentrant_lock)

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Run, and copy the outputs into their views."""
        feeds = {
            feature: _held(name, descriptor, view.array)
            for feature, (name, descriptor), view in zip(self.input_names, self.inputs, inputs, strict=True)
        }
        try:
            with self.lock:
                results = self.model.predict(feeds)
        except Exception as error:  # coremltools raises RuntimeError and others
            raise OperationError(f"coreml: {described(error)}") from error
        for view, feature in zip(outputs, self.output_names, strict=True):
            view.array[...] = np.asarray(results[feature]).reshape(view.array.shape)


def _held(name: str, descriptor: MLOperandDescriptor, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An input as its feature holds it."""
    array = array.reshape(held_shape(descriptor.shape))
    if descriptor.data_type in FLOATS:
        return array
    if descriptor.data_type == "int64":
        outside = beyond(array, "int32")
        if outside is not None:
            raise OperationError(f"coreml: input {name!r} has {outside}; Core ML holds int64 in 32 bits")
    return array.astype(np.int32)


class CoreMLBackend(Backend):
    """Core ML on macOS. `backend_options={"compute_units": "CPU_AND_NE"}` overrides the preferences of the context."""

    name: ClassVar[str] = "coreml"
    device_type: DeviceType = "npu"

    @classmethod
    def unavailable(cls) -> str | None:
        """Why graphs cannot run here."""
        if sys.platform != "darwin":
            return "Core ML runs graphs on macOS only; graph.save('model.mlpackage') writes them for it on any system"
        version = platform.mac_ver()[0]
        if int(version.partition(".")[0] or 0) < _MACOS:
            return f"needs macOS {_MACOS} or later, and this is {version}"
        return None if find_spec("coremltools") is not None else MISSING

    def preferred_options(self, power_preference: str, accelerated: bool) -> Mapping[str, str]:
        """The compute units that the preferences of a context stand for."""
        if not accelerated:
            return {"compute_units": "CPU_ONLY"}
        units = {"low-power": "CPU_AND_NE", "high-performance": "CPU_AND_GPU"}
        return {"compute_units": units.get(power_preference, "ALL")}

    def check_options(self, options: Mapping[str, str]) -> None:
        """Accept `compute_units`."""
        for name, value in options.items():
            if name != "compute_units" or value not in _UNITS:
                raise ValidationError(
                    f"backend_options of coreml: compute_units is one of {', '.join(_UNITS)}, got {name}={value!r}"
                )

    def device(self, options: Mapping[str, str]) -> DeviceInfo:
        """The processor, and the kind of device that the compute units are chosen for."""
        units = options.get("compute_units", "ALL")
        return DeviceInfo(_UNITS[units], processor_name(), f"Core ML, {units}")

    def support_limits(self) -> LimitsTable:
        """The specification's table without what Core ML lacks."""
        return coreml_limits()

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Write a package, and let Core ML compile it."""
        coremltools = import_coremltools()
        units = dict(options.backend).get("compute_units", "ALL")
        folder = Path(tempfile.mkdtemp(prefix="webnn-coreml-"))
        try:
            package, weights = folder / "model.mlpackage", folder / "weights"
            weights.mkdir()
            program = write_package(graph, package, weights, cancellation.checkpoint)
            cancellation.checkpoint()
            try:
                model = coremltools.models.MLModel(str(package), compute_units=coremltools.ComputeUnit[units])
            except Exception as error:
                raise OperationError(f"coreml: {described(error)}") from error
        except BaseException:
            _remove(folder, os.getpid())
            raise
        executable = CoreMLExecutable(
            inputs=list(graph.input_descriptors.items()),
            outputs=list(graph.output_descriptors.items()),
            byte_length=2 * graph.constant_bytes,
            model=model,
            input_names=list(program.input_names.values()),
            output_names=list(program.output_names.values()),
        )
        weakref.finalize(executable, _remove, folder, os.getpid())
        return executable


def _remove(folder: Path, process: int) -> None:
    """Remove the folder of a package, which a process that was forked leaves to its parent."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
