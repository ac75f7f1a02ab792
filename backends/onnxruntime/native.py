"""The private names of onnxruntime that this backend uses. No other module imports any.

The public Python layer of onnxruntime copies and checks more than a run of a few microseconds can bear, and has no way
to switch off single optimizers or to list kernels. Its native module has, but promises nothing between versions. So the
names are checked here, when the backend is imported; a version that lacks one makes the backend unavailable, with a
reason that says which name and which versions to install.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from webnn.errors import NotSupportedError

__all__ = [
    "VERSIONS",
    "GraphOptimizationLevel",
    "InferenceSession",
    "OrtDevice",
    "OrtValue",
    "PublicOrtValue",
    "RunOptions",
    "SessionIOBinding",
    "SessionOptions",
    "get_all_opkernel_def",
    "missing",
    "version",
]

OLDEST: Final = "1.32"
VERSIONS: Final = f">={OLDEST},<1.33"
"""The versions of onnxruntime that were tested, as `pyproject.toml` has them."""

_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "GraphOptimizationLevel": ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC"),
    "InferenceSession": ("get_provider_graph_assignment_info", "initialize_session", "run_with_iobinding"),
    "OrtDevice": ("cpu", "default_memory"),
    "OrtValue": ("element_type", "ortvalue_from_numpy", "shape"),
    "RunOptions": (),
    "SessionIOBinding": ("bind_ortvalue_input", "bind_ortvalue_output", "bind_output", "get_outputs"),
    "SessionOptions": (
        "add_external_initializers",
        "add_session_config_entry",
        "enable_cpu_mem_arena",
        "enable_mem_pattern",
        "graph_optimization_level",
        "intra_op_num_threads",
        "log_severity_level",
        "optimized_model_filepath",
        "set_load_cancellation_flag",
    ),
    "get_all_opkernel_def": (),
    "opkernel.KernelDef": ("domain", "op_name", "provider", "type_constraints", "version_range"),
}
"""The names that are used of the native module, and of each of them."""


def missing(native: object) -> list[str]:
    """The names that `native` lacks, e.g. `InferenceSession.initialize_session`."""
    found = []
    for name, attributes in _NAMES.items():
        value: object = native
        for part in name.split("."):
            value = getattr(value, part, None)
        if value is None:
            found.append(name)
        else:
            found += [f"{name}.{attribute}" for attribute in attributes if not hasattr(value, attribute)]
    return found


def _numbers(version: str) -> list[int]:
    """The major and the minor number of a version."""
    return [int(part) for part in version.split(".")[:2]]


def _load() -> tuple[str, Any, Any]:
    """The version of onnxruntime, its native module, and its public class `OrtValue`."""
    install = f"install a version that was tested: pip install 'onnxruntime{VERSIONS}'"
    try:
        import onnxruntime  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise NotSupportedError(f"onnxruntime cannot be imported ({error}); {install}") from None
    try:
        from onnxruntime.capi import _pybind_state as native  # noqa: PLC0415
    except ImportError as error:
        raise NotSupportedError(
            f"onnxruntime {onnxruntime.__version__} has no onnxruntime.capi._pybind_state ({error}); {install}"
        ) from None
    if _numbers(onnxruntime.__version__) < _numbers(OLDEST):  # the names may be there, and end the process when called
        raise NotSupportedError(f"onnxruntime {onnxruntime.__version__} is older than {OLDEST}; {install}")
    names = missing(native)
    if names:
        raise NotSupportedError(f"onnxruntime {onnxruntime.__version__} has no {' and no '.join(names)}; {install}")
    return onnxruntime.__version__, native, onnxruntime.OrtValue


version, _native, PublicOrtValue = _load()

GraphOptimizationLevel: Final[Any] = _native.GraphOptimizationLevel
InferenceSession: Final[Any] = _native.InferenceSession
OrtDevice: Final[Any] = _native.OrtDevice
OrtValue: Final[Any] = _native.OrtValue
RunOptions: Final[Any] = _native.RunOptions
SessionIOBinding: Final[Any] = _native.SessionIOBinding
SessionOptions: Final[Any] = _native.SessionOptions
get_all_opkernel_def: Final[Any] = _native.get_all_opkernel_def
