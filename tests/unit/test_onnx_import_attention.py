"""Attention and rotary embeddings of ONNX and ONNX Runtime, compared with both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.onnx_nodes import Array, Fixed, Given, by_onnxruntime, by_reference, check_node, computed, node_model, random
from webnn.backends.base import Backend
from webnn.errors import NotSupportedError
from webnn.formats.onnx.importing.operator_table import MICROSOFT

BATCH, HEADS, LENGTH, SIZE = 2, 4, 3, 16
HIDDEN = HEADS * SIZE


def check(backend: Backend, op_type: str, inputs: list[Given], **options: Any) -> list[Array]:
    return check_node(backend, op_type, inputs, domain=MICROSOFT, **options)


def standard(backend: Backend, inputs: list[Given], *, version: int = 24, **options: Any) -> None:
    check_node(backend, "Attention", inputs, version=version, expected=by_reference, **options)


def booleans(seed: int, *shape: int) -> Array:
    """Every row has one that is true."""
    result = np.random.default_rng(seed).random(shape) < 0.6
    result[..., 0] = True
    return result


# The standard's own.


def four(heads: int = HEADS, groups: int = HEADS, keys: int = LENGTH) -> list[Given]:
    return [
        random(0, BATCH, heads, LENGTH, SIZE),
        random(1, BATCH, groups, keys, SIZE),
        random(2, BATCH, groups, keys, SIZE + 2),
    ]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("version", [23, 24])
def test_several_heads_share_a_key(backend: Backend, groups: int, causal: int, version: int) -> None:
    standard(backend, four(groups=groups, keys=5), is_causal=causal, version=version)


def test_inputs_of_three_dimensions_are_split_into_heads(backend: Backend) -> None:
    inputs = [random(0, BATCH, LENGTH, HIDDEN), random(1, BATCH, 5, HIDDEN // 2), random(2, BATCH, 5, 10)]
    options = {"q_num_heads": HEADS, "kv_num_heads": 2, "outputs": [True] * 3}
    standard(backend, inputs, **options)
    standard(backend, inputs, scale=0.3, softcap=2.0, **options)


def test_a_single_query_sees_the_earlier_keys_and_the_first_new_one(backend: Backend) -> None:
    """onnxruntime shows it the other new ones, too."""
    query = random(0, BATCH, HEADS, 1, SIZE)
    keys, values = random(1, BATCH, HEADS, 5, SIZE), random(2, BATCH, HEADS, 5, SIZE)
    past = [random(3, BATCH, HEADS, 2, SIZE), random(4, BATCH, HEADS, 2, SIZE)]
    standard(backend, [query, keys, values, None, *past], outputs=[True] * 3, is_causal=1)


@pytest.mark.parametrize("shape", [(LENGTH, 5), (HEADS, LENGTH, 5), (1, 1, LENGTH, 5), (BATCH, HEADS, LENGTH, 5)])
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("causal", [0, 1])
def test_masks_may_be_booleans_or_floats_and_known_or_not(
    backend: Backend, shape: tuple[int, ...], fixed: bool, causal: int
) -> None:
    for mask in (booleans(3, *shape), random(4, *shape)):
        given = Fixed(mask) if fixed else mask
        standard(backend, [*four(keys=5), given], is_causal=causal)


@pytest.mark.parametrize("fixed", [True, False])
def test_a_query_that_may_see_nothing_gets_nothing(backend: Backend, fixed: bool) -> None:
    mask = booleans(3, LENGTH, 5)
    mask[1] = False
    bias = np.where(mask, 0, -np.inf).astype(np.float32)
    for array in (mask, bias):
        given = Fixed(array) if fixed else array
        standard(backend, [*four(keys=5), given], outputs=[True, False, False, True], qk_matmul_output_mode=3)


@pytest.mark.parametrize("fixed", [True, False])
def test_a_mask_may_be_shorter_than_the_keys(backend: Backend, fixed: bool) -> None:
    for mask in (booleans(3, LENGTH, 3), random(4, LENGTH, 3)):
        standard(backend, [*four(keys=5), Fixed(mask) if fixed else mask])


@pytest.mark.parametrize("causal", [0, 1])
def test_keys_and_values_of_the_past(backend: Backend, causal: int) -> None:
    past = [random(5, BATCH, HEADS, 2, SIZE), random(6, BATCH, HEADS, 2, SIZE + 2)]
    standard(backend, [*four(), None, *past], outputs=[True] * 3, is_causal=causal)
    standard(backend, [*four(), random(7, LENGTH, LENGTH + 2), *past], outputs=[True] * 3, is_causal=causal)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("fixed", [True, False])
def test_lengths_without_padding(backend: Backend, causal: int, fixed: bool) -> None:
    lengths = np.array([3, 5], np.int64)
    inputs = [*four(keys=6), None, None, None, Fixed(lengths) if fixed else lengths]
    standard(backend, inputs, is_causal=causal)


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
@pytest.mark.parametrize("softcap", [0.0, 2.0])
def test_scores_on_the_way(backend: Backend, mode: int, softcap: float) -> None:
    inputs = [*four(keys=5), random(3, LENGTH, 5)]
    options = {"outputs": [True, False, False, True], "qk_matmul_output_mode": mode, "softcap": softcap}
    # The reference evaluator's scores of mode 0 have softcap, which neither the standard nor onnxruntime has.
    check_node(backend, "Attention", inputs, version=23, **options)


def test_the_softmax_of_halves_may_be_in_floats(backend: Backend) -> None:
    inputs = [given.astype(np.float16) for given in four() if isinstance(given, np.ndarray)]
    standard(backend, inputs, softmax_precision=1, tolerance=5e-3)
    standard(backend, inputs, tolerance=5e-3)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("rotated", [0, 4])
@pytest.mark.parametrize("flat", [True, False])
def test_rotary_embeddings_turn_all_or_some_of_the_features(
    backend: Backend, interleaved: int, rotated: int, flat: bool
) -> None:
    pairs = (rotated or SIZE) // 2
    x = random(0, BATCH, LENGTH, HIDDEN) if flat else random(0, BATCH, HEADS, LENGTH, SIZE)
    positions = np.array([[0, 1, 2], [4, 2, 7]], np.int64)
    caches, rows = [random(i, 10, pairs) for i in (1, 2)], [random(i, BATCH, LENGTH, pairs) for i in (3, 4)]
    options = {"version": 23, "interleaved": interleaved, "rotary_embedding_dim": rotated, "expected": by_reference}
    if flat:
        options["num_heads"] = HEADS
    check_node(backend, "RotaryEmbedding", [x, *caches, positions], **options)
    check_node(backend, "RotaryEmbedding", [x, *rows], **options)


# Those of onnxruntime.


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("positions", [np.array([2], np.int64), np.array([[0, 1, 2], [4, 2, 7]], np.int64)])
@pytest.mark.parametrize("flat", [True, False])
def test_rotary_embeddings_of_onnxruntime(backend: Backend, interleaved: int, positions: Array, flat: bool) -> None:
    x = random(0, BATCH, LENGTH, HIDDEN) if flat else random(0, BATCH, HEADS, LENGTH, SIZE)
    caches: list[Given] = [Fixed(random(i, 10, SIZE // 2)) for i in (1, 2)]
    check(backend, "RotaryEmbedding", [x, positions, *caches], interleaved=interleaved)
    part: list[Given] = [Fixed(random(i, 10, 2)) for i in (1, 2)]
    options = {"interleaved": interleaved, "rotary_embedding_dim": 4, "num_heads": HEADS}
    check(backend, "RotaryEmbedding", [x, positions, *part], **options)


def paddings() -> dict[str, Array]:
    return {
        "ends": np.array([2, 3], np.int32),
        "ends and starts": np.array([2, 3, 0, 1], np.int32),
        "keys": np.array([[1, 1, 0], [0, 1, 1]], np.int32),
        "queries and keys": np.random.default_rng(0).integers(0, 2, (BATCH, LENGTH, LENGTH), np.int32),
    }


@pytest.mark.parametrize("mask", [None, *paddings()])
@pytest.mark.parametrize("causal", [0, 1])
def test_attention_with_its_projection(backend: Backend, mask: str | None, causal: int) -> None:
    inputs: list[Given] = [random(0, BATCH, LENGTH, 6), Fixed(random(1, 6, 3 * HIDDEN)), Fixed(random(2, 3 * HIDDEN))]
    inputs.append(paddings()[mask] if mask else None)
    options = {"num_heads": HEADS, "unidirectional": causal}
    check(backend, "Attention", inputs, **options)


def test_attention_with_a_past_and_a_bias(backend: Backend) -> None:
    inputs: list[Given] = [random(0, BATCH, LENGTH, 6), Fixed(random(1, 6, 3 * HIDDEN)), Fixed(random(2, 3 * HIDDEN))]
    past = random(3, 2, BATCH, HEADS, 2, SIZE)
    for causal in (0, 1):
        options = {"num_heads": HEADS, "outputs": [True, True], "unidirectional": causal}
        check(backend, "Attention", [*inputs, None, past], **options)
    check(backend, "Attention", [*inputs, None, None, random(5, 1, 1, LENGTH, LENGTH)], num_heads=HEADS, scale=0.2)


def test_values_of_a_size_of_their_own(backend: Backend) -> None:
    sizes = [HIDDEN, HIDDEN, 12]
    inputs: list[Given] = [random(0, BATCH, LENGTH, 6), random(1, 6, sum(sizes)), random(2, sum(sizes))]
    check(backend, "Attention", inputs, num_heads=HEADS, qkv_hidden_sizes=sizes)


def apart(keys: int = 5) -> list[Given]:
    return [random(0, BATCH, LENGTH, HIDDEN), random(1, BATCH, keys, HIDDEN), random(2, BATCH, keys, HIDDEN)]


@pytest.mark.parametrize("bias", [True, False])
def test_queries_keys_and_values_apart(backend: Backend, bias: bool) -> None:
    heads: list[Given] = [random(0, BATCH, LENGTH, HIDDEN), *(random(i, BATCH, HEADS, 5, SIZE) for i in (1, 2))]
    added: list[Given] = [Fixed(random(3, 3 * HIDDEN))] if bias else []
    check(backend, "MultiHeadAttention", [*apart(), *added], num_heads=HEADS)
    check(backend, "MultiHeadAttention", [*apart(), *added], num_heads=HEADS, scale=0.3)
    check(backend, "MultiHeadAttention", heads, num_heads=HEADS)


@pytest.mark.parametrize("bias", [True, False])
def test_queries_keys_and_values_packed(backend: Backend, bias: bool) -> None:
    """onnxruntime has no kernel for the CPU: against the same values apart."""
    added = [Fixed(random(3, 3 * HIDDEN))] if bias else []
    query, key, value = parts = [np.asarray(part).reshape(BATCH, LENGTH, HEADS, SIZE) for part in apart(LENGTH)]
    packed: list[list[Given]] = [
        [np.stack(parts, 3), None, None, *added],
        [query.reshape(BATCH, LENGTH, HIDDEN), np.stack([key, value], 3), None, *added],
    ]
    options = {"num_heads": HEADS, "domain": MICROSOFT}
    (wanted,) = by_onnxruntime(*node_model("MultiHeadAttention", [*apart(LENGTH), *added], **options))
    for inputs in packed:
        (found,) = computed(*node_model("MultiHeadAttention", inputs, **options), backend)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [0, 1])
def test_masks_of_multi_head_attention(backend: Backend, causal: int) -> None:
    options = {"num_heads": HEADS, "unidirectional": causal}
    for keys in (LENGTH, 5):  # causal, the last query sees all of them
        for mask in (np.array([2, keys], np.int32), random(3, BATCH, keys, dtype=np.int32) % 2):
            check(backend, "MultiHeadAttention", [*apart(keys), None, mask], **options)
        check(backend, "MultiHeadAttention", [*apart(keys), None, None, random(4, 1, HEADS, LENGTH, keys)], **options)
    bias = random(4, 1, HEADS, LENGTH, LENGTH + 2)
    past = [random(i, BATCH, HEADS, 2, SIZE) for i in (5, 6)]
    check(backend, "MultiHeadAttention", [*apart(LENGTH), None, None, bias, *past], outputs=[True] * 3, **options)


GROUPS, ROOM = 2, 8


def grouped(queries: int, past: int = 0, packed: bool = False) -> list[Given]:
    sizes = [HIDDEN, GROUPS * SIZE, GROUPS * SIZE]
    parts: list[Given] = [random(i, BATCH, queries, size) for i, size in enumerate(sizes)]
    if packed:
        parts = [np.concatenate([np.asarray(part) for part in parts], 2), None, None]
    before: list[Given] = [random(i, BATCH, GROUPS, past, SIZE) if past else None for i in (3, 4)]
    return [*parts, *before]


def lengths(*last: int, total: int, fixed: bool) -> list[Given]:
    arrays = [np.array(last, np.int32), np.array(total, np.int32)]
    return [Fixed(array) for array in arrays] if fixed else list(arrays)


def check_grouped(backend: Backend, inputs: list[Given], *, valid: Any, **options: Any) -> None:
    """Rows of the present beyond `valid` are nobody's business."""
    settings = {"num_heads": HEADS, "kv_num_heads": GROUPS, "domain": MICROSOFT, "outputs": [True] * 3, **options}
    model, feeds = node_model("GroupQueryAttention", inputs, **settings)
    found, wanted = computed(model, feeds, backend), by_onnxruntime(model, feeds)
    rows = found[0].shape[1]
    for b, (last, new) in enumerate(valid):
        pairs = [(found[0][b, : min(new, rows)], wanted[0][b, : min(new, rows)])]
        pairs += [(found[i][b, :, :last], wanted[i][b, :, :last]) for i in (1, 2)]
        for ours, theirs in pairs:
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


ROTARY: list[Given] = [Fixed(random(7, 16, SIZE // 2)), Fixed(random(8, 16, SIZE // 2))]

OPTIONS: list[dict[str, Any]] = [
    {},
    {"scale": 0.3},
    {"softcap": 2.0},
    {"local_window_size": 2},
    {"smooth_softmax": 1},
    {"causal": 0},
    {"do_rotary": 1},
    {"do_rotary": 1, "rotary_interleaved": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_the_first_run_of_a_language_model(
    backend: Backend, options: dict[str, Any], fixed: bool, packed: bool
) -> None:
    queries = 5
    rotary = ROTARY if "do_rotary" in options else []
    inputs = [*grouped(queries, packed=packed), *lengths(2, 4, total=queries, fixed=fixed), *rotary]
    check_grouped(backend, inputs, valid=[(3, 3), (5, 5)], **options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("last", [(5, 5), (3, 6)])
def test_the_next_token_of_a_language_model(
    backend: Backend, options: dict[str, Any], fixed: bool, last: tuple[int, int]
) -> None:
    rotary = ROTARY if "do_rotary" in options else []
    inputs = [*grouped(1, past=ROOM), *lengths(*last, total=max(last) + 1, fixed=fixed), *rotary]
    check_grouped(backend, inputs, valid=[(last[0] + 1, 1), (last[1] + 1, 1)], **options)


def test_a_past_that_grows(backend: Backend) -> None:
    for last in ((4, 4), (3, 4)):
        inputs = [*grouped(1, past=4), *lengths(*last, total=5, fixed=True)]
        check_grouped(backend, inputs, valid=[(last[0] + 1, 1), (last[1] + 1, 1)])


def test_a_bias_and_positions_of_a_language_model(backend: Backend) -> None:
    positions, bias = np.array([[3], [5]], np.int64), random(9, 1, HEADS, 1, 6)
    inputs = [*grouped(1, past=ROOM), *lengths(5, 5, total=6, fixed=True)]
    check_grouped(backend, [*inputs, *ROTARY, positions], valid=[(6, 1)] * 2, do_rotary=1)
    check_grouped(backend, [*inputs, None, None, None, bias], valid=[(6, 1)] * 2)
    sink = random(10, HEADS)
    check_grouped(backend, [*inputs, None, None, None, None, sink], valid=[(6, 1)] * 2)


def test_attention_of_integers(backend: Backend) -> None:
    x, w = random(0, BATCH, LENGTH, 6, dtype=np.uint8), random(1, 6, 3 * HIDDEN, dtype=np.int8) // 2
    scales = [Fixed(np.array(size, np.float32)) for size in (0.02, 0.01)]
    zeros = [Fixed(np.array(120, np.uint8)), Fixed(np.array(0, np.int8))]
    inputs: list[Given] = [x, Fixed(w), Fixed(random(2, 3 * HIDDEN)), *scales, None, *zeros]
    check(backend, "QAttention", inputs, num_heads=HEADS)
    check(backend, "QAttention", inputs, num_heads=HEADS, unidirectional=1)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"sliding_window_cache": 1, "local_window_size": 4}, "sliding_window_cache 1"),
        ({"qk_output": 1}, "qk_output 1"),
    ],
)
def test_unsupported_options_are_reported(backend: Backend, options: dict[str, Any], reason: str) -> None:
    inputs = [*grouped(1, past=ROOM), *lengths(5, 5, total=6, fixed=True)]
    settings = {"num_heads": HEADS, "kv_num_heads": GROUPS, "domain": MICROSOFT, **options}
    model, feeds = node_model("GroupQueryAttention", inputs, **settings)
    with pytest.raises(NotSupportedError, match=reason):
        computed(model, feeds, backend)
