"""The table of ONNX lowerings, which the modules of the families fill; `lower` applies it to a whole graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from webnn.backends.lowering import Lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Node

__all__ = ["COMPOSITES", "FUNCTIONS", "OnnxLowering", "lowerings", "one_to_one"]

OnnxLowering: TypeAlias = Callable[[Node, Model], None]
"""Emits the ONNX nodes of one operator, and gives each of its outputs a name in the model."""


FUNCTIONS: Final = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "celu", "cosh", "hardmax", "log_softmax", "selu", "sinh"),
    *("shrink", "thresholded_relu"),
)
"""Composites that are one operator in ONNX, of that name and with the same options."""
COMPOSITES: Final[Mapping[str, str]] = {
    **dict.fromkeys(FUNCTIONS, "functions"),
    **dict.fromkeys(("bit_shift", "bitwise_and", "bitwise_or", "bitwise_xor", "modulo"), "elementwise"),
    **dict.fromkeys(("binarizer", "imputer", "label_encoder", "linear_classifier", "normalizer"), "classical_ml"),
    **dict.fromkeys(("one_hot_encoder", "scaler"), "classical_ml"),
    "col2im": "convolution",
    **dict.fromkeys(("conv3d", "conv_integer", "deform_conv"), "convolution"),
    "depth_to_space": "movement",
    "determinant": "matrix",
    "dynamic_quantize_linear": "quantization",
    "fake_quantize": "quantization",
    **dict.fromkeys(("fourier_transform", "fourier_transform_of_frames"), "matrix"),
    "grid_sample": "resampling",
    "matmul_integer": "quantization",
    **dict.fromkeys(("max_pool", "max_unpool"), "pooling"),
    "open_batch_normalization": "normalization",
    "open_cast": "elementwise",
    "open_cumulative_sum": "reduction",
    "open_gather_elements": "gathering",
    "open_instance_normalization": "normalization",
    **dict.fromkeys(("open_reduce_l1", "open_reduce_l2", "open_reduce_max", "open_reduce_min"), "reduction"),
    "open_reduce_log_sum_exp": "reduction",
    **dict.fromkeys(("open_reduce_product", "open_reduce_sum_square"), "reduction"),
    "open_scatter_nd": "gathering",
    "open_sigmoid": "activation",
    "open_sign": "elementwise",
    "recurrent_network": "recurrent",
    "resize": "resampling",
    "reverse_sequence": "gathering",
    "roi_align": "resampling",
    "scatter_reduce_elements": "gathering",
    "scatter_reduce_nd": "gathering",
    "space_to_depth": "movement",
    **dict.fromkeys(("svm_classifier", "svm_regressor"), "support_vectors"),
    "top_k": "reduction",
    **dict.fromkeys(("tree_classifier", "tree_ensemble"), "trees"),
    "wide_matmul": "matrix",
}
"""The modules that lower composites, for those that standard ONNX has an operator for."""


def _family_of(op: str) -> str | None:
    """The module here that is named as the module of the operator's method, which composites do not have."""
    method = getattr(MLGraphBuilder, op, None)
    family = COMPOSITES.get(op) if method is None else method.__module__.rpartition(".")[2]
    return None if family is None else f"webnn.backends.onnx.{family}"


lowerings: Final[Lowerings[OnnxLowering]] = Lowerings("ONNX", "webnn.backends.onnx.families", _family_of)


def one_to_one(table: Mapping[str, str]) -> None:
    """Lower operators that are one ONNX node each, with the same operands in the same order and no attributes."""
    for op, op_type in table.items():

        @lowerings.lowers(op)
        def lower_directly(node: Node, model: Model, op_type: str = op_type) -> None:
            model.emit(op_type, [model[operand] for operand in node.inputs()], to=node.output)
