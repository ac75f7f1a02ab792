"""ML Programs that coremltools' own builder makes, saved as they were built."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from tests.coreml.interpreter import Package, read_package
from tests.coreml.messages import REASON

__all__ = ["ct", "mb", "saved"]

ct: Final[Any] = pytest.importorskip("coremltools", reason=REASON)
mb: Final[Any] = ct.converters.mil.Builder
mil: Final[Any] = ct.converters.mil.mil
types: Final[Any] = mil.types

TYPES: Final = {"float32": types.fp32, "float16": types.fp16, "int32": types.int32}
_lock: Final = threading.Lock()
"""The builder of coremltools keeps its state in globals."""


def saved(
    path: Path, build: Callable[..., Any], inputs: Mapping[str, np.ndarray[Any, Any]], target: str = "iOS17"
) -> Package:
    """The program of `build(**values)`, saved with no pass over it and read back."""
    version = getattr(ct.target, target)
    places = {name: mb.placeholder(array.shape, TYPES[array.dtype.name]) for name, array in inputs.items()}
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mil.Function(places, opset_version=version) as function:
            outputs = build(**function.inputs)
            function.set_outputs(list(outputs) if isinstance(outputs, tuple | list) else [outputs])
        program = mil.Program()
        program.add_function("main", function)
        model = ct.convert(
            program,
            convert_to="mlprogram",
            pass_pipeline=ct.PassPipeline.EMPTY,
            compute_precision=ct.precision.FLOAT32,
            minimum_deployment_target=version,
            skip_model_load=True,
        )
        model.save(str(path))
    return read_package(path)
