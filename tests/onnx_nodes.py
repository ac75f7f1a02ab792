"""Models of one ONNX node, computed by us and by others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.direct import direct_builder, run_graph
from webnn.backends.base import Backend
from webnn.formats.onnx import import_onnx
from webnn.graph.ir import Graph

__all__ = [
    "Array",
    "Fixed",
    "Given",
    "by_onnxruntime",
    "by_reference",
    "check_node",
    "computed",
    "node_model",
    "random",
]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Fixed:
    """An input that is an initializer of the model."""

    array: Array


Given: TypeAlias = "Array | Fixed | None"
"""An input of the node: one of the model, an initializer, or left out."""


def random(seed: int, *shape: int, dtype: Any = np.float32) -> Array:
    """Normal floats, or integers of the whole range."""
    generator = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        return generator.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return np.asarray(generator.standard_normal(shape)).astype(dtype)


def node_model(
    op_type: str,
    inputs: Sequence[Given],
    *,
    outputs: Any = (True,),
    version: Any = 21,
    domain: Any = "",
    **attributes: Any,
) -> tuple[ModelProto, dict[str, Array]]:
    """A model of one node, and what to feed it. `outputs`: which of them are read; `version`: the opset.

    Options and attributes come in one dictionary of a test case, hence their types.
    """
    names, infos, initializers, feeds = [], [], [], {}
    for i, given in enumerate(inputs):
        names.append("" if given is None else f"input{i}")
        if isinstance(given, Fixed):
            initializers.append(numpy_helper.from_array(np.asarray(given.array, order="C"), f"input{i}"))
        elif given is not None:
            element_type = helper.np_dtype_to_tensor_dtype(given.dtype)
            infos.append(helper.make_tensor_value_info(f"input{i}", element_type, given.shape))
            feeds[f"input{i}"] = given
    results = [f"output{i}" if read else "" for i, read in enumerate(outputs)]
    node = helper.make_node(op_type, names, results, domain=domain, **attributes)
    empty = [onnx.ValueInfoProto(name=name) for name in results if name]
    graph = helper.make_graph([node], "node", infos, empty, initializers)
    opsets = [helper.make_opsetid("", version)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=10), feeds


def computed(
    model: ModelProto, feeds: Mapping[str, Array], backend: Backend, composites: Collection[str] = ()
) -> list[Array]:
    """The outputs that we compute, with `composites` as they are and all others expanded."""
    return _outputs(model, _graph(model, backend, composites), feeds, backend)


def _graph(model: ModelProto, backend: Backend, composites: Collection[str]) -> Graph:
    builder = direct_builder(backend, composites)
    return builder.build(import_onnx(model, builder))


def _outputs(model: ModelProto, graph: Graph, feeds: Mapping[str, Array], backend: Backend) -> list[Array]:
    found = run_graph(graph, feeds, backend)
    return [found[info.name] for info in model.graph.output]


def by_onnxruntime(model: ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """What onnxruntime computes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(array) for array in session.run(None, dict(feeds))]


def by_reference(model: ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """What the standard's reference evaluator computes."""
    return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, dict(feeds))]


def check_node(
    backend: Backend,
    op_type: str,
    inputs: Sequence[Given],
    *,
    tolerance: Any = 1e-4,
    expected: Any = by_onnxruntime,
    **options: Any,
) -> list[Array]:
    """Check the outputs of a node, within `tolerance` of the largest value, or of the size of a step for integers.

    If the importer makes a composite of the node, its operators and the kernel of the backend are both checked.
    """
    model, feeds = node_model(op_type, inputs, **options)
    results = computed(model, feeds, backend)
    wanted = expected(model, feeds)
    _check(results, wanted, tolerance)
    with_composites = _graph(model, backend, backend.composites)
    if any(each.op in backend.composites for each in with_composites.nodes):
        _check(_outputs(model, with_composites, feeds, backend), wanted, tolerance)
    return results


def _check(results: Sequence[Array], expected: Sequence[Array], tolerance: Any) -> None:
    for result, wanted in zip(results, expected, strict=True):
        assert result.shape == wanted.shape
        if wanted.dtype.kind in "iub":
            np.testing.assert_allclose(result.astype(np.int64), wanted.astype(np.int64), rtol=0, atol=int(tolerance))
        else:
            scale = max(float(np.max(np.abs(wanted[np.isfinite(wanted)]), initial=0)), 1e-3)
            np.testing.assert_allclose(result, wanted, rtol=tolerance, atol=tolerance * scale)
