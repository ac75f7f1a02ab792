"""Separable graphs: which graphs can compute several requests in one run, and the graph that does.

A graph is separable if the requests can be stacked along dimension 0 of every input, computed by the same operators
with longer tensors, and split again along dimension 0 of every output. A value is *stacked* if it depends on an input:
it then holds the value of the first request, followed by that of the second one, and so on. All other values are the
same for every request. A rule for each operator decides whether its result on stacked operands is the stack of its
results, which depends on its options. An operator without a rule is not separable.

A request may have any size along dimension 0. So `reshape` is always separable, since the elements of a request stay
together, while a `softmax` along dimension 0 never is, even with a single row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NoReturn, TypeAlias

from webnn.errors import ValidationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Attribute, Graph, Node, Operands
from webnn.graph.operand import MLOperand

__all__ = ["NEVER", "REPEATED_BYTES", "RULES", "stacked", "why_not_separable"]

REPEATED_BYTES: Final = 1024 * 1024
"""The largest constant that is repeated for each request, where an operator does not broadcast it."""


class _InseparableError(Exception):
    """The message is the reason."""


class _Reading:
    """One node, and which of its operands are stacked.

    Args:
        node: it has at least one stacked operand.
        stacks: the stacked operands of the graph.
    """

    def __init__(self, node: Node, stacks: Mapping[MLOperand, object]) -> None:
        self.node = node
        self._stacks = stacks
        self.repeated: set[MLOperand] = set()
        """Operands that are the same for every request, but have to be there once for each."""

    def is_stacked(self, operand: MLOperand | None) -> bool:
        """Whether `operand` depends on an input of the graph."""
        return operand in self._stacks

    def refuse(self, reason: str) -> NoReturn:
        """The node cannot be computed for several requests at once."""
        raise _InseparableError(f"{self.node.where} {reason}")

    def only(self, *names: str) -> None:
        """Refuse if an operand depends on the inputs that is not one of `names`."""
        for name, operands in self.node.operands.items():
            for operand in (operands,) if isinstance(operands, MLOperand) else operands:
                if name not in names and self.is_stacked(operand):
                    self.refuse(f"has a {name} that depends on the inputs, so requests do not share it")

    def along(self, *axes: int) -> None:
        """Refuse if the operator works along dimension 0."""
        if 0 in axes:
            self.refuse("works along dimension 0, across requests")

    def stack(self, operand: MLOperand) -> None:
        """Have `operand` once for each request, by repeating it if it is the same for all."""
        if self.is_stacked(operand):
            return
        descriptor = operand.descriptor
        if not descriptor.rank or descriptor.data_type in ("int4", "uint4") or descriptor.byte_length > REPEATED_BYTES:
            self.refuse(
                f"needs a {descriptor} once for each request, which is the same for"
                f" all; at most {REPEATED_BYTES} bytes are repeated"
            )
        self.repeated.add(operand)


Rule: TypeAlias = Callable[[_Reading], None]
"""Refuses a node whose results on stacked operands are not the stacked results, and stacks operands if it has to."""


def _broadcast(reading: _Reading) -> None:
    """Operands are broadcast to the output. Dimension 0 of the stacked ones must be that of the output."""
    output = reading.node.output
    for operand in reading.node.inputs():
        aligned = operand.rank == output.rank and operand.shape[0] == output.shape[0]
        if reading.is_stacked(operand):
            if not aligned:
                reading.refuse(f"broadcasts {list(operand.shape)} along dimension 0 to {list(output.shape)}")
        elif aligned and output.shape[0] != 1:
            reading.stack(operand)


def _on(*names: str) -> Rule:
    """Each request is computed by itself, as long as only these operands depend on the inputs."""
    return lambda reading: reading.only(*names)


def _axis(reading: _Reading) -> None:
    reading.along(reading.node.attributes["axis"])


def _axes(reading: _Reading) -> None:
    reading.along(*reading.node.attributes["axes"])


def _normalized(reading: _Reading) -> None:
    reading.only("input")
    attributes = reading.node.attributes
    reading.along(*attributes["axes"] if "axes" in attributes else (attributes["axis"],))


def _matmul(reading: _Reading) -> None:
    if reading.node.output.rank == 2:
        reading.only("a")
    else:
        _broadcast(reading)


def _gemm(reading: _Reading) -> None:
    reading.only("a", "c")
    node, c = reading.node, reading.node.get("c")
    if node.attributes["a_transpose"]:
        reading.refuse("sums over dimension 0 of a, across requests")
    reading.stack(node["a"])
    if c is not None and (reading.is_stacked(c) or node.output.shape[0] != 1):
        aligned = c.rank == 2 and c.shape[0] == node.output.shape[0]
        if aligned:
            reading.stack(c)
        elif reading.is_stacked(c):
            reading.refuse(f"broadcasts c {list(c.shape)} along dimension 0 to {list(node.output.shape)}")


def _concat(reading: _Reading) -> None:
    _axis(reading)
    for operand in reading.node.inputs():
        reading.stack(operand)


def _expand(reading: _Reading) -> None:
    shape, new_shape = reading.node["input"].shape, reading.node.attributes["new_shape"]
    if len(shape) != len(new_shape) or shape[0] != new_shape[0]:
        reading.refuse(f"broadcasts {list(shape)} along dimension 0 to {list(new_shape)}")


def _pad(reading: _Reading) -> None:
    attributes = reading.node.attributes
    if attributes["beginning_padding"][0] or attributes["ending_padding"][0]:
        reading.refuse("pads dimension 0, between requests")


def _reshape(reading: _Reading) -> None:
    if not reading.node.output.rank:
        reading.refuse("makes a scalar, which has no dimension 0")


def _slice(reading: _Reading) -> None:
    attributes, shape = reading.node.attributes, reading.node["input"].shape
    if (attributes["starts"][0], attributes["sizes"][0], attributes["strides"][0]) != (0, shape[0], 1):
        reading.refuse("takes a part of dimension 0")


def _tile(reading: _Reading) -> None:
    if reading.node.attributes["repetitions"][0] != 1:
        reading.refuse("repeats dimension 0, and would repeat all requests together")


def _transpose(reading: _Reading) -> None:
    permutation = reading.node.attributes["permutation"]
    if permutation[0] != 0:
        reading.refuse(f"moves dimension 0: its permutation is {list(permutation)}")


def _triangular(reading: _Reading) -> None:
    if reading.node.output.rank < 3:
        reading.refuse("masks dimension 0, which is that of the requests")


def _gather(reading: _Reading) -> None:
    input, indices = reading.node["input"], reading.node["indices"]
    if reading.node.attributes["axis"] == 0:
        reading.only("indices")  # a table that all requests share
    elif reading.is_stacked(indices):
        reading.refuse(f"has indices {list(indices.shape)} that depend on the inputs, and an input {list(input.shape)}")


def _gather_elements(reading: _Reading) -> None:
    if reading.node.attributes["axis"] == 0:
        reading.only("indices")
    else:
        _stack_all(reading)


def _sequences(reading: _Reading) -> None:
    reading.along(reading.node.attributes["time_axis"])
    if reading.node.attributes["batch_axis"] == 0:
        _stack_all(reading)
    else:
        reading.only("input")


def _of_matrices(reading: _Reading) -> None:
    if reading.node["input"].rank == 2:
        reading.refuse("is of one matrix, whose rows are in dimension 0")


def _gather_nd(reading: _Reading) -> None:
    reading.only("indices")
    if reading.node["indices"].rank < 2:
        reading.refuse("has indices whose dimension 0 is that of the coordinates")


def _scatter_elements(reading: _Reading) -> None:
    _axis(reading)
    _stack_all(reading)


def _stack_all(reading: _Reading) -> None:
    for operand in reading.node.inputs():
        reading.stack(operand)


def _pooled(reading: _Reading) -> None:
    if len(reading.node.outputs) > 1:
        reading.refuse("gives indices that count from the start of dimension 0")
    reading.only("input")


def _deformed(reading: _Reading) -> None:
    of_images = ("input", "offset", "mask")
    reading.only(*of_images)
    for name in of_images:
        if name in reading.node.operands:
            reading.stack(reading.node[name])


def _quantized(reading: _Reading) -> None:
    scale, zero_point = reading.node["scale"], reading.node["zero_point"]
    if reading.is_stacked(scale) or reading.is_stacked(zero_point):
        _stack_all(reading)
    elif scale.shape[0] != 1:
        reading.stack(scale)
        reading.stack(zero_point)


def _cell(*states: str) -> Rule:
    def rule(reading: _Reading) -> None:
        reading.only("input", *states)
        for name in ("input", *states):
            reading.stack(reading.node[name])

    return rule


RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(("add", "sub", "mul", "div", "max", "min", "pow", "prelu", "where"), _broadcast),
    **dict.fromkeys(("equal", "not_equal", "greater", "greater_or_equal", "lesser", "lesser_or_equal"), _broadcast),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor", "logical_not", "is_nan", "is_infinite"), _broadcast),
    **dict.fromkeys(("abs", "ceil", "cos", "erf", "exp", "floor", "identity", "log", "neg", "reciprocal"), _broadcast),
    **dict.fromkeys(("round_even", "sign", "sin", "sqrt", "tan", "cast", "clamp", "elu", "gelu"), _broadcast),
    **dict.fromkeys(("hard_sigmoid", "hard_swish", "leaky_relu", "linear", "relu", "sigmoid"), _broadcast),
    **dict.fromkeys(("softplus", "softsign", "tanh"), _broadcast),
    **dict.fromkeys(("acos", "acosh", "asin", "asinh", "atan", "atanh", "celu", "cosh", "selu", "sinh"), _broadcast),
    **dict.fromkeys(("bit_shift", "bitwise_and", "bitwise_or", "bitwise_xor", "modulo"), _broadcast),
    **dict.fromkeys(("fake_quantize", "open_cast", "open_sigmoid", "open_sign", "shrink"), _broadcast),
    **dict.fromkeys(("binarizer", "thresholded_relu"), _broadcast),
    **dict.fromkeys(("depth_to_space", "space_to_depth"), _on("input")),
    **dict.fromkeys(("fourier_transform", "hardmax", "log_softmax"), _axis),
    **dict.fromkeys(("softmax", "cumulative_sum", "open_cumulative_sum", "arg_min", "arg_max", "split"), _axis),
    **dict.fromkeys(("reduce_l1", "reduce_l2", "reduce_log_sum", "reduce_log_sum_exp", "reduce_max"), _axes),
    **dict.fromkeys(("reduce_mean", "reduce_min", "reduce_product", "reduce_sum", "reduce_sum_square"), _axes),
    **dict.fromkeys(
        ("open_reduce_l1", "open_reduce_log_sum_exp", "open_reduce_product", "open_reduce_sum_square"), _axes
    ),
    **dict.fromkeys(("open_reduce_l2", "open_reduce_max", "open_reduce_min", "reverse", "resample2d", "resize"), _axes),
    **dict.fromkeys(("col2im", "conv2d", "conv_transpose2d", "instance_normalization", "tree_ensemble"), _on("input")),
    "open_instance_normalization": _on("input"),
    **dict.fromkeys(("block_product", "conv3d", "conv_integer", "fourier_transform_of_frames"), _on("input")),
    **dict.fromkeys(("imputer", "linear_classifier", "normalizer", "scaler", "tree_classifier"), _on("input")),
    **dict.fromkeys(("label_encoder", "one_hot_encoder", "svm_classifier", "svm_regressor"), _on("input")),
    **dict.fromkeys(("average_pool2d", "l2_pool2d", "max_pool2d"), _on("input")),
    **dict.fromkeys(("batch_normalization", "layer_normalization", "open_batch_normalization"), _normalized),
    **dict.fromkeys(("quantize_linear", "dequantize_linear"), _quantized),
    **dict.fromkeys(("matmul", "wide_matmul"), _matmul),
    "gemm": _gemm,
    "concat": _concat,
    "expand": _expand,
    "pad": _pad,
    "reshape": _reshape,
    "slice": _slice,
    "tile": _tile,
    "transpose": _transpose,
    "triangular": _triangular,
    "gather": _gather,
    "gather_elements": _gather_elements,
    "open_gather_elements": _gather_elements,
    "gather_nd": _gather_nd,
    "deform_conv": _deformed,
    "max_pool": _pooled,
    "determinant": _of_matrices,
    "grid_sample": _stack_all,
    "reverse_sequence": _sequences,
    "scatter_elements": _scatter_elements,
    "gru_cell": _cell("hidden_state"),
    "lstm_cell": _cell("hidden_state", "cell_state"),
}
"""The rule of each operator."""

NEVER: Final[dict[str, str]] = {
    "dynamic_quantize_lstm": "has its batch in dimension 1",
    "gru": "has its batch in dimension 1",
    "lstm": "has its batch in dimension 1",
    "max_unpool": "has indices that count from the start of dimension 0",
    "recurrent_network": "has its batch in dimension 1",
    "roi_align": "has regions that are not those of the images in dimension 0",
    "open_scatter_nd": "has indices that count from the start of dimension 0",
    "scatter_nd": "has indices that count from the start of dimension 0",
}
"""Operators that are never separable, with the reason."""


def why_not_separable(graph: Graph) -> str | None:
    """The reason why `graph` cannot compute several requests in one run; None if it can.

    The reason names the operator with its label, or the input or output.
    """
    try:
        _check(graph)
    except _InseparableError as reason:
        return str(reason)
    return None


def stacked(graph: Graph, requests: int) -> Graph:
    """The graph that computes so many requests at once: every input and output is that much longer in dimension 0.

    Its constants are those of `graph`, so that backends and caches find them to be the same arrays.

    Raises:
        ValidationError: `graph` is not separable, or a tensor would become too large. The message is the reason.
    """
    try:
        readings = _check(graph)
    except _InseparableError as reason:
        raise ValidationError(f"the graph is not separable: {reason}") from None
    stands_for: dict[MLOperand, MLOperand] = {
        operand: MLOperand(operand.owner, _longer(operand.descriptor, requests), name=operand.name)
        for operand in graph.inputs.values()
    }
    inputs = list(stands_for.values())
    repeats: dict[MLOperand, MLOperand] = {}
    for reading in readings:
        node = reading.node
        for operand in reading.repeated - repeats.keys():
            repeats[operand] = _repeated(operand, requests)
        present = {**stands_for, **{operand: repeats[operand] for operand in reading.repeated}}
        operands: dict[str, Operands] = {
            name: present.get(given, given)
            if isinstance(given, MLOperand)
            else tuple(present.get(each, each) for each in given)
            for name, given in node.operands.items()
        }
        outputs = [_longer(output.descriptor, requests) for output in node.outputs]
        longer = node.replace(operands=operands, attributes=_attributes(node, requests), outputs=outputs)
        stands_for.update(zip(node.outputs, longer.outputs, strict=True))
    return Graph(inputs, {name: stands_for[operand] for name, operand in graph.outputs.items()})


def _check(graph: Graph) -> list[_Reading]:
    """The nodes that depend on the inputs, with what their rules have found."""
    stacks: dict[MLOperand, None] = {}
    for name, operand in graph.inputs.items():
        if not operand.rank:
            raise _InseparableError(f"input {name!r} is a scalar, which has no dimension 0")
        stacks[operand] = None
    readings = []
    for node in graph.nodes:
        if not any(operand in stacks for operand in node.inputs()):
            continue
        reading = _Reading(node, stacks)
        rule = RULES.get(node.op)
        if rule is None:
            reading.refuse(NEVER.get(node.op, "is not known to compute each request by itself"))
        rule(reading)
        readings.append(reading)
        stacks.update(dict.fromkeys(node.outputs))
    for name, operand in graph.outputs.items():
        if operand not in stacks:
            raise _InseparableError(f"output {name!r} does not depend on an input")
    return readings


def _longer(descriptor: MLOperandDescriptor, requests: int) -> MLOperandDescriptor:
    return MLOperandDescriptor(descriptor.data_type, _multiplied(descriptor.shape, requests))


def _multiplied(shape: tuple[int, ...], requests: int) -> tuple[int, ...]:
    return (shape[0] * requests, *shape[1:])


_SIZES: Final[dict[str, Iterable[str]]] = {"reshape": ("new_shape",), "expand": ("new_shape",), "slice": ("sizes",)}
"""The attributes whose first item is a size of dimension 0."""


def _attributes(node: Node, requests: int) -> dict[str, Attribute]:
    sizes = _SIZES.get(node.op, ())
    return {name: _multiplied(value, requests) if name in sizes else value for name, value in node.attributes.items()}


def _repeated(operand: MLOperand, requests: int) -> MLOperand:
    repetitions = (requests, *(1,) * (operand.rank - 1))
    outputs = [_longer(operand.descriptor, requests)]
    node = Node("tile", {"input": operand}, {"repetitions": repetitions}, "", outputs=outputs, owner=operand.owner)
    return node.output
