"""The passes in the order in which they run, and the run over a graph.

A pass is a module with one public function of the module's name, `def <name>(graph: Graph) -> Graph`. It is pure: it
leaves `graph` as it is, and returns the same object when nothing in it applies. It keeps the graph's inputs, and the
names, data types and shapes of its outputs. Only the onnxruntime backend runs passes; an exported `.onnx` has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from webnn.backends.onnxruntime.passes.attention import attention
from webnn.backends.onnxruntime.passes.centered_batch_normalization import centered_batch_normalization
from webnn.backends.onnxruntime.passes.centered_instance_normalization import centered_instance_normalization
from webnn.backends.onnxruntime.passes.composed_normalizations import composed_normalizations
from webnn.backends.onnxruntime.passes.exact_elu import exact_elu
from webnn.backends.onnxruntime.passes.exact_sigmoid import exact_sigmoid
from webnn.backends.onnxruntime.passes.gathers_of_few_rows import gathers_of_few_rows
from webnn.backends.onnxruntime.passes.images_between_convolutions import images_between_convolutions
from webnn.backends.onnxruntime.passes.norms_in_range import norms_in_range
from webnn.backends.onnxruntime.passes.one_hot_products import one_hot_products
from webnn.backends.onnxruntime.passes.products_of_one_row import products_of_one_row
from webnn.backends.onnxruntime.passes.products_with_relu import products_with_relu
from webnn.backends.onnxruntime.passes.recognized_composites import recognized_composites
from webnn.backends.onnxruntime.passes.reductions_by_sums import reductions_by_sums
from webnn.backends.onnxruntime.passes.rotary_embeddings import rotary_embeddings
from webnn.backends.onnxruntime.passes.sigmoid_gelus import sigmoid_gelus
from webnn.backends.onnxruntime.passes.staged_average_pools import staged_average_pools
from webnn.backends.onnxruntime.passes.staged_cumulative_sums import staged_cumulative_sums
from webnn.backends.onnxruntime.passes.staged_sums import staged_sums
from webnn.backends.onnxruntime.passes.sums_without_unit_axes import sums_without_unit_axes
from webnn.backends.onnxruntime.passes.tanh_gelus import tanh_gelus
from webnn.graph.ir import Graph
from webnn.graph.rewrites import Rewrite, rewrite_between

__all__ = ["PASSES", "prepared", "rewrites"]

PASSES: Final[tuple[Callable[[Graph], Graph], ...]] = (
    recognized_composites,  # first: it compares with operators that no pass has changed
    images_between_convolutions,  # before the others: it knows the operators that users write, not those of passes
    one_hot_products,
    gathers_of_few_rows,
    tanh_gelus,
    rotary_embeddings,  # before it: moves ahead of the transpositions that split heads
    attention,
    composed_normalizations,
    sigmoid_gelus,
    exact_sigmoid,
    centered_batch_normalization,
    centered_instance_normalization,
    exact_elu,
    norms_in_range,
    products_of_one_row,
    products_with_relu,  # after it: what is left
    staged_average_pools,  # after it: makes stages of its averages
    reductions_by_sums,
    staged_cumulative_sums,
    staged_sums,  # makes stages of the sums and means of all before
    sums_without_unit_axes,  # last: those that are not in stages
)
"""First to last; a pass that has to run before or after another says why here."""


def prepared(graph: Graph, checkpoint: Callable[[], object] | None = None) -> Graph:
    """`graph` after all passes.

    Args:
        graph: a graph as the builder made it.
        checkpoint: called before each pass, e.g. `Cancellation.checkpoint`.
    """
    for run in PASSES:
        if checkpoint is not None:
            checkpoint()
        graph = run(graph)
    return graph


def rewrites(graph: Graph) -> list[Rewrite]:
    """What each pass changes, for those that change something."""
    found = []
    for run in PASSES:
        before, graph = graph, run(graph)
        if rewrite := rewrite_between(run.__name__.replace("_", " "), before, graph):
            found.append(rewrite)
    return found
