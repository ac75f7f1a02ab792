"""The passes in the order in which they run, and the run over a graph.

A pass is a module with one public function of the module's name, `def <name>(graph: Graph) -> Graph`. It is pure: it
leaves `graph` as it is, and returns the same object when nothing in it applies. It keeps the graph's inputs, and the
names, data types and shapes of its outputs. Only the onnxruntime backend runs passes; an exported `.onnx` has none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from webnn.forking import import_lock, import_whole
from webnn.graph.ir import Graph

if TYPE_CHECKING:
    from webnn.graph.rewrites import Rewrite

__all__ = ["PASSES", "Pass", "prepared", "rewrites", "traits"]


class Pass:
    """A pass by name, whose module is imported with the first graph that it may apply to.

    Args:
        name: the name of the module and its function.
        *needs: traits of a graph, in groups: operators, and pairs `a>b` of operators where `b` reads a result of `a`.
            A graph that has none of a group is left alone; most graphs need few passes.
    """

    def __init__(self, name: str, *needs: str) -> None:
        self.__name__ = name
        self.needs: Final = tuple(frozenset(group.split()) for group in needs)

    def may_apply(self, traits: Collection[str]) -> bool:
        """Whether a graph with these traits has one of each group."""
        return not any(group.isdisjoint(traits) for group in self.needs)

    def __call__(self, graph: Graph) -> Graph:
        """`graph` after the pass."""
        result: Graph = getattr(import_whole(f"{__package__}.{self.__name__}"), self.__name__)(graph)
        return result


PASSES: Final[tuple[Pass, ...]] = (
    # First: it compares with operators that no pass has changed.
    Pass(
        "recognized_composites",
        "equal>cast equal>reshape equal>where matmul>cast open_reduce_max>clamp reduce_log_sum_exp>sub reduce_max>clamp"
        " scatter_elements>slice where>slice",
    ),
    # Before the others: it knows the operators that users write, not those of passes.
    Pass("images_between_convolutions", "conv2d>reshape conv_transpose2d>reshape identity>reshape"),
    Pass("convolutions_of_transposed_rows", "reshape>conv2d transpose>conv2d", "transpose>conv2d transpose>reshape"),
    Pass("one_hot_products", "matmul", "equal"),
    Pass(
        "gathers_of_few_rows",
        "add>gather cast>gather dequantize_linear>gather div>gather identity>gather mul>gather neg>gather sub>gather",
    ),
    Pass("scatters_of_few_elements", "scatter_elements"),
    Pass("tanh_gelus", "add>tanh div>tanh mul>tanh pow>tanh", "tanh>add tanh>div tanh>mul tanh>pow"),
    # Before `attention`: moves ahead of the transpositions that split heads.
    Pass(
        "rotary_embeddings",
        "add>concat concat>linear concat>mul concat>neg concat>reshape sub>concat",
        "add sub",
        "mul",
    ),
    Pass("attention", "matmul", "softmax>matmul softmax>reshape softmax>where"),
    # After it: the scores of few queries, which stay products.
    Pass("scaled_products_of_one_row", "matmul>div matmul>mul"),
    Pass(
        "composed_normalizations",
        "pow>div pow>mul pow>reciprocal sqrt>div sqrt>reciprocal",
        "reduce_mean reduce_sum reduce_sum_square",
    ),
    Pass("sigmoid_gelus", "open_sigmoid>mul sigmoid>mul"),
    # After the passes that make a `gelu` of several operators.
    Pass("operators_after_gathers", "gather"),
    Pass("logic_of_bytes", "logical_and logical_not logical_or"),
    Pass("exact_sigmoid", "sigmoid"),
    Pass("centered_batch_normalization", "batch_normalization"),
    Pass("centered_instance_normalization", "instance_normalization"),
    Pass("exact_elu", "elu"),
    Pass("norms_in_range", "reduce_l2 l2_pool2d"),
    Pass("products_of_blocks", "matmul", "dequantize_linear"),
    Pass("products_of_one_row", "gemm matmul"),
    # After `products_of_one_row`: what is left.
    Pass("products_with_relu", "matmul>relu"),
    # After `norms_in_range`: makes stages of its averages.
    Pass("staged_average_pools", "average_pool2d"),
    Pass("reductions_by_sums", "reduce_l1 reduce_log_sum reduce_log_sum_exp reduce_sum_square"),
    Pass("staged_cumulative_sums", "cumulative_sum"),
    # Makes stages of the sums and means of all before.
    Pass("staged_sums", "reduce_mean reduce_product reduce_sum"),
    # After those that make or change products, whose work it compares with that of the parts.
    Pass("scatters_in_parts", "scatter_reduce_nd"),
    # Last: those that are not in stages.
    Pass("sums_without_unit_axes", "reduce_mean reduce_sum"),
)
"""First to last."""


def prepared(graph: Graph, checkpoint: Callable[[], object] | None = None) -> Graph:
    """`graph` after all passes.

    Args:
        graph: a graph as the builder made it.
        checkpoint: called before each pass, e.g. `Cancellation.checkpoint`.
    """
    found = traits(graph)
    for run in PASSES:
        if checkpoint is not None:
            checkpoint()
        if run.may_apply(found):
            before, graph = graph, run(graph)
            if graph is not before:
                found = traits(graph)
    return graph


def traits(graph: Graph) -> set[str]:
    """The operators of `graph`, and the pairs `a>b` of them where `b` reads a result of `a`."""
    pairs = {
        (operand.node.op, node.op) for node in graph.nodes for operand in node.inputs() if operand.node is not None
    }
    return {node.op for node in graph.nodes} | {f"{before}>{op}" for before, op in pairs}


def rewrites(graph: Graph) -> list[Rewrite]:
    """What each pass changes, for those that change something."""
    with import_lock:  # here, since most programs explain nothing
        from webnn.graph.rewrites import rewrite_between  # noqa: PLC0415

    found = []
    for run in PASSES:
        before, graph = graph, run(graph)
        if rewrite := rewrite_between(run.__name__.replace("_", " "), before, graph):
            found.append(rewrite)
    return found
