"""The options of the execution providers for NVIDIA GPUs: those of a program, and those that the backends set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from webnn.errors import ValidationError

__all__ = ["CUDA", "TENSORRT", "cuda_options", "device_number", "engine_folder", "tensorrt_options"]

CUDA: Final = "CUDAExecutionProvider"
TENSORRT: Final = "TensorrtExecutionProvider"

_OURS: Final = frozenset(
    {"user_compute_stream", "has_user_compute_stream", "enable_cuda_graph", "trt_cuda_graph_enable"}
)
"""Options that the backends set. A program that sets them would break the order of runs and copies."""


def device_number(options: Mapping[str, str]) -> int:
    """The number of the device, the option `device_id`.

    Raises:
        ValidationError: it is not a number; or an option is one of those that only the backend may set.
    """
    wrong = sorted(_OURS & options.keys())
    if wrong:
        raise ValidationError(f"backend_options: {', '.join(wrong)} cannot be set, since the backend does")
    device = options.get("device_id", "0")
    if not device.isdecimal():
        raise ValidationError(f"backend_options: device_id must be the number of a device, got {device!r}")
    return int(device)


def cuda_options(options: Mapping[str, str], stream: int, *, capture: bool) -> dict[str, str]:
    """The options of the CUDA provider, by those of the program; `capture` allows CUDA graphs."""
    return {
        "device_id": "0",
        "use_tf32": "0",  # by default, products of float32 are computed with 10 bits of mantissa
        **{name: value for name, value in options.items() if not name.startswith("trt_")},
        "user_compute_stream": str(stream),
        **({"enable_cuda_graph": "1"} if capture else {}),
    }


def tensorrt_options(options: Mapping[str, str], stream: int, folder: Path | None, *, capture: bool) -> dict[str, str]:
    """The options of the TensorRT provider. Engines and the times of kernels are kept in `folder`."""
    kept = {}
    if folder is not None:
        kept = {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(folder),
        }
    return {
        "device_id": options.get("device_id", "0"),
        **kept,
        **{name: value for name, value in options.items() if name.startswith("trt_")},
        "user_compute_stream": str(stream),
        **({"trt_cuda_graph_enable": "1"} if capture else {}),
    }


def engine_folder(cache: Path, gpu: str, capability: str, versions: Mapping[str, str]) -> Path:
    """The folder of the engines for one GPU, driver and set of libraries. Those of others would be refused, or slow.

    Args:
        cache: the folder of all caches.
        gpu: what its driver calls it.
        capability: its compute capability.
        versions: those of everything that an engine depends on, by name: the driver, the CUDA runtime, onnxruntime.
    """
    key = "\n".join([gpu, capability, *(f"{name} {version}" for name, version in sorted(versions.items()))])
    words = "".join(c if c.isalnum() else "-" for c in gpu.lower()).strip("-")
    return cache / "tensorrt" / f"{words}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
