"""Whole ONNX models, imported and run, against onnxruntime on the original file."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

import webnn
from tests.conformance.wpt import SHARED

LIGHT: Final = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
SILERO: Final = SHARED / "models" / "silero_vad" / "silero_vad_op18_ifless.onnx"
BUILDERS: Final = SHARED / "acceptance" / "onnx_models.py"

SMALL: Final = ("light_shufflenet", "light_squeezenet")
"""Those of the models without weights that NumPy runs in a second or two. All weights of a layer being equal, the
logits of squeezenet are so large that the last bit of a float32 sum would decide its softmax."""


@pytest.mark.parametrize(
    ("name", "backend"),
    [(path.stem, "onnxruntime") for path in sorted(LIGHT.glob("*.onnx"))] + [(name, "arrays") for name in SMALL],
)
def test_the_models_in_the_onnx_package_give_the_results_beside_them(name: str, backend: str) -> None:
    stored = TensorProto()
    stored.ParseFromString((LIGHT / f"{name}_output_0.pb").read_bytes())
    with webnn.ML().create_context(backend=backend) as context:
        graph = webnn.load_onnx(LIGHT / f"{name}.onnx", context)
        ((given, descriptor),) = graph.inputs.items()
        count = descriptor.element_count
        x = (np.arange(count).reshape(descriptor.shape) / count).astype(np.float32)
        (result,) = context.compute(graph, {given: x}).values()
    np.testing.assert_allclose(result, numpy_helper.to_array(stored), rtol=1e-4)


def check(source: Any, feeds: Mapping[str, np.ndarray[Any, Any]], backend: str, **options: Any) -> None:
    """Compare all outputs with those of onnxruntime, within 1e-4 of the largest value."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    original = source if isinstance(source, bytes) else str(source)
    session = onnxruntime.InferenceSession(original, settings, providers=["CPUExecutionProvider"])
    expected = dict(zip([o.name for o in session.get_outputs()], session.run(None, dict(feeds)), strict=True))
    with webnn.ML().create_context(backend=backend) as context:
        graph = webnn.load_onnx(source, context, **options)
        results = context.compute(graph, {name: feeds[name] for name in graph.inputs})
    assert results.keys() == expected.keys()
    for name, result in results.items():
        wanted = np.asarray(expected[name])
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4 * float(np.abs(wanted).max()))


@pytest.fixture(params=["onnxruntime", "arrays"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def floats(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.skipif(not SILERO.is_file(), reason=f"no {SILERO}: set WEBNN_SHARED")
def test_silero_with_its_sample_rate_fixed(backend: str) -> None:
    feeds = {"input": floats(1, 576), "state": floats(2, 1, 128), "sr": np.array(16000)}
    shapes = {"input": [1, 576], "state": [2, 1, 128]}
    check(SILERO, feeds, backend, shapes=shapes, constants={"sr": 16000})


@pytest.mark.skipif(not BUILDERS.is_file(), reason=f"no {BUILDERS}: set WEBNN_SHARED")
@pytest.mark.filterwarnings("ignore:unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["mobilenetv2", "squeezenet"])
def test_image_classifiers(name: str, backend: str) -> None:
    pytest.importorskip("safetensors")
    spec = importlib.util.spec_from_file_location("onnx_models", BUILDERS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = getattr(module, f"{name}_onnx")()
    (info,) = model.graph.input
    shape = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
    check(model.SerializeToString(), {info.name: floats(*shape)}, backend)


def test_magika(backend: str) -> None:
    found = importlib.util.find_spec("magika")
    if found is None or found.origin is None:
        pytest.skip("needs the package magika")
    (file, *_) = sorted(Path(found.origin).parent.glob("models/*/model.onnx"))
    tokens = np.random.default_rng(0).integers(0, 257, (1, 2048)).astype(np.int32)
    check(file, {"bytes": tokens}, backend, shapes={"bytes": [1, 2048]})
