"""How many threads one run of a graph is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import accumulate
from typing import Final

from webnn.graph.ir import Graph, Node

__all__ = ["IN_ORDER", "SMALL_WORK", "answers_depend_on_threads", "combines_in_any_order", "is_small", "work"]

SMALL_WORK: Final = 1_000_000
"""Multiply-adds below which waking a second thread costs more than it saves: about 10 us."""
_DIVIDED: Final = 1 << 14
"""Results from which on onnxruntime divides an operator that is no product among threads."""
_TIMES: Final[Mapping[str, int]] = {
    **dict.fromkeys(
        [
            "abs",
            "add",
            "clamp",
            "div",
            "exp",
            "hard_sigmoid",
            "hard_swish",
            "leaky_relu",
            "linear",
            "max",
            "min",
            "mul",
            "neg",
            "prelu",
            "reciprocal",
            "relu",
            "sub",
        ],
        10,
    ),
    **dict.fromkeys(
        [
            "average_pool2d",
            "batch_normalization",
            "erf",
            "fake_quantize",
            "gelu",
            "instance_normalization",
            "open_batch_normalization",
            "open_instance_normalization",
            "open_sigmoid",
            "layer_normalization",
            "log_softmax",
            "max_pool2d",
            "pow",
            "rms_normalization",
            "rotary_embedding",
            "sigmoid",
            "softmax",
            "softsign",
            "sqrt",
            "tanh",
            "where",
        ],
        30,
    ),
    **dict.fromkeys(["cos", "elu", "grid_sample", "log", "resample2d", "resize", "roi_align", "sin"], 100),
    **dict.fromkeys(["softplus", "tan"], 800),
}
"""The multiply-adds that take as long as one result of an operator on one core, about, where onnxruntime divides it."""
_SORTED: Final = 250
"""The same for an element that is sorted."""
IN_ORDER: Final = 2**17
"""Elements of updates that onnxruntime scatters on one thread. It shares them out from about 210,000 on."""


def work(graph: Graph) -> int:
    """About how many multiply-adds take as long as one run."""
    return sum(_node_work(node) for node in graph.nodes)


def is_small(graph: Graph) -> bool:
    """Whether a run is less than `SMALL_WORK`; of a large graph, only the first nodes are looked at."""
    return all(total < SMALL_WORK for total in accumulate(map(_node_work, graph.nodes)))


def answers_depend_on_threads(graph: Graph) -> bool:
    """Whether onnxruntime gives other answers with other numbers of threads, and not in the last digits alone.

    Each of its threads takes some of the sequences of a batch, and rounds their states by the range of these.
    """
    return any(_rounds_by_thread(node) for node in graph.nodes)


def _rounds_by_thread(node: Node) -> bool:
    return node.op == "dynamic_quantize_lstm" and node["input"].shape[1] > 1


def combines_in_any_order(node: Node) -> bool:
    """Whether `node` is a scatter whose sums several threads would get wrong, as updates of one place may meet."""
    if node.op != "scatter_reduce_nd" or math.prod(node["indices"].shape[:-1]) == 1:
        return False
    return node["updates"].descriptor.element_count > IN_ORDER


def _node_work(node: Node) -> int:
    results = sum(output.descriptor.element_count for output in node.outputs)
    match node.op:
        case "matmul" | "gemm" | "matmul_integer" | "wide_matmul":
            shape = node["a"].shape
            depth = shape[-2] if node.attributes.get("a_transpose") else shape[-1]
        case "block_product":
            depth = node["input"].shape[-1]
        case "conv2d" | "conv3d" | "conv_integer" | "conv_transpose2d" | "deform_conv":
            depth = math.prod(node["filter"].shape) // max(1, node.output.shape[1])
        case "fourier_transform" | "fourier_transform_of_frames":
            depth = 4 * int(node.attributes["length"]).bit_length()
        case "gru" | "lstm" | "gru_cell" | "lstm_cell" | "recurrent_network" | "dynamic_quantize_lstm":
            steps: int = node.attributes.get("steps", 1)
            products = steps * (math.prod(node["weight"].shape) + math.prod(node["recurrent_weight"].shape))
            if _rounds_by_thread(node):  # for its answers: as many threads as onnxruntime takes
                products = max(products, SMALL_WORK)
            return results + products
        case "attention":
            depth = 2 * node["key"].shape[-2]
        case "linear_classifier":
            return node["input"].shape[0] * math.prod(node["coefficients"].shape)
        case "tree_classifier" | "tree_ensemble":
            return node["input"].shape[0] * node["roots"].shape[0] * int(node.attributes["depth"])
        case "svm_classifier" | "svm_regressor":
            return node["input"].shape[0] * math.prod(node["vectors"].shape)
        case "top_k":  # row by row
            elements, axis = node["input"].descriptor.element_count, node["input"].shape[node.attributes["axis"]]
            depth = elements * _SORTED // results if elements > axis else 1
        case _:
            depth = _TIMES.get(node.op, 1) if results >= _DIVIDED else 1
    return results * depth
