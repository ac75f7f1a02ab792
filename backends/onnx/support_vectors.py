"""Support vector machines, as ONNX's operators of classical machine learning have them."""

from __future__ import annotations

from typing import Any

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node

__all__: list[str] = []


@lowerings.lowers("svm_regressor")
def svm_regressor(node: Node, model: Model) -> None:
    """One `SVMRegressor`."""
    options = {**_options(node), "n_supports": node["vectors"].shape[0]}
    model.emit("SVMRegressor", [model[node["input"]]], to=node.output, domain="ai.onnx.ml", **options)


@lowerings.lowers("svm_classifier")
def svm_classifier(node: Node, model: Model) -> None:
    """One `SVMClassifier`."""
    counts, labels = list(node.attributes["counts"]), list(node.attributes["labels"])
    options = {**_options(node), "vectors_per_class": counts, "classlabels_ints": labels}
    model.emit_many("SVMClassifier", [model[node["input"]]], list(node.outputs), domain="ai.onnx.ml", **options)


def _options(node: Node) -> dict[str, Any]:
    """The kernel function and the arrays, which are attributes; without those that the node does not have."""
    arrays = {name: node.get(name) for name in ("coefficients", "rho", "prob_a", "prob_b", "vectors")}
    flat = {name: x.constant.reshape(-1) for name, x in arrays.items() if x is not None and x.constant is not None}
    flat["support_vectors"] = flat.pop("vectors")
    parameters = [node.attributes[name] for name in ("gamma", "coef0", "degree")]
    return {"kernel_type": node.attributes["kernel"], "kernel_params": parameters, **flat}
