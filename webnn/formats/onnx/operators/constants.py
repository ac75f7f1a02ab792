"""Constants, and facts about a value that need no computation, such as its shape."""

from __future__ import annotations

import math

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.descriptor import MAX_DIMENSION

__all__: list[str] = []


@imports("Constant")
def constant(node: OnnxNode) -> Imported:
    """The value, from whichever attribute holds it."""
    if node.has_attribute("value"):
        return node.get_tensor("value")
    if node.has_attribute("value_int"):
        return np.array(node.get_int("value_int"), np.int64)
    if node.has_attribute("value_ints"):
        return node.get_int_array("value_ints")
    if node.has_attribute("value_float"):
        return np.array(node.get_float("value_float"), np.float32)
    if node.has_attribute("value_floats"):
        return node.get_float_array("value_floats")
    if node.has_attribute("sparse_value"):
        return node.importer.model.dense(node.attributes["sparse_value"].sparse_tensor)
    raise UnsupportedNodeError(f"it holds {', '.join(node.attributes) or 'nothing'}, which is not a tensor of numbers")


@imports("ConstantOfShape")
def constant_of_shape(node: OnnxNode) -> Imported:
    """One repeated number, as a view that takes no memory until a node needs it as an operand."""
    shape = node.integers(0, "shape")
    value = node.get_tensor("value") if node.has_attribute("value") else np.zeros(1, np.float32)
    if value.size != 1:
        raise DataError(f"the value must be one number, got shape {list(value.shape)}")
    if min(shape, default=0) < 0 or math.prod(shape) > MAX_DIMENSION:
        raise DataError(f"the shape {shape} must have 0 to {MAX_DIMENSION} elements")
    return np.broadcast_to(value.reshape(()), shape)


@imports("Shape")
def shape(node: OnnxNode) -> Imported:
    """The dimensions, which are always known during the import."""
    sizes = node.shape(0)
    end = node.get_int("end", len(sizes))
    return np.array(sizes[node.get_int("start", 0) : end], np.int64)


@imports("Size")
def size(node: OnnxNode) -> Imported:
    """The number of elements."""
    return np.array(math.prod(node.shape(0)), np.int64)


@imports("Range")
def range_(node: OnnxNode) -> Imported:
    """Numbers in equal steps. Known ones were folded before; what comes here is empty or too long."""
    start, limit, delta = (node.number(i, what) for i, what in enumerate(("the start", "the limit", "the step")))
    raise UnsupportedNodeError(f"the range from {start} to {limit} in steps of {delta} is empty or too long")
