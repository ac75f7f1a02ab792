"""Sequences of several lengths, each reversed by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from webnn.graph.composites.composite import Builder, compose, composite, spelled_out
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["sequences_reversed"]


def sequences_reversed(b: Builder, x: MLOperand, lengths: MLOperand, *, time: int, batch: int) -> MLOperand:
    """`x` with the first `lengths[i]` elements along axis `time` reversed, for each place `i` along axis `batch`.

    Later elements stay. A length out of range ends the run with an error on some backends.
    """
    operands = {"input": x, "sequence_lens": lengths}
    options = {"time_axis": time, "batch_axis": batch}
    has_kernel = {time, batch} == {0, 1}  # which the standard asks for
    return (compose if has_kernel else spelled_out)(b, "reverse_sequence", operands, [x.descriptor], **options)[0]


@composite
def reverse_sequence(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Elements gathered at mirrored places."""
    x, time, batch = node["input"], node.attributes["time_axis"], node.attributes["batch_axis"]
    lengths = b.reshape(
        b.cast(node["sequence_lens"], "int32"), [size if i == batch else 1 for i, size in enumerate(x.shape)]
    )
    numbers = np.arange(x.shape[time], dtype=np.int32)
    places = b.constant(numbers.reshape([-1 if i == time else 1 for i in range(x.rank)]))
    mirrored = b.sub(b.sub(lengths, b.constant("int32", 1)), places)
    indices = b.where(b.lesser(places, lengths), mirrored, places)
    return [b.gather_elements(x, b.expand(indices, x.shape), axis=time)]
