"""Steps of classical machine learning, as ONNX's operators of `ai.onnx.ml` have them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node

__all__: list[str] = []

_DOMAIN: Final = "ai.onnx.ml"


@lowerings.lowers("scaler")
def scaler(node: Node, model: Model) -> None:
    """One `Scaler`."""
    options = {"offset": _known(node, "offset"), "scale": _known(node, "scale")}
    model.emit("Scaler", [model[node["input"]]], to=node.output, domain=_DOMAIN, **options)


@lowerings.lowers("normalizer")
def normalizer(node: Node, model: Model) -> None:
    """One `Normalizer`."""
    model.emit("Normalizer", [model[node["input"]]], to=node.output, domain=_DOMAIN, norm=node.attributes["norm"])


@lowerings.lowers("imputer")
def imputer(node: Node, model: Model) -> None:
    """One `Imputer`."""
    kind = "float" if node["input"].data_type == "float32" else "int64"
    options: dict[str, Any] = {f"imputed_value_{kind}s": _known(node, "values")}
    options[f"replaced_value_{kind}"] = _known(node, "missing").item()
    model.emit("Imputer", [model[node["input"]]], to=node.output, domain=_DOMAIN, **options)


@lowerings.lowers("binarizer")
def binarizer(node: Node, model: Model) -> None:
    """One `Binarizer`."""
    threshold = float(node.attributes["threshold"])
    model.emit("Binarizer", [model[node["input"]]], to=node.output, domain=_DOMAIN, threshold=threshold)


@lowerings.lowers("linear_classifier")
def linear_classifier(node: Node, model: Model) -> None:
    """One `LinearClassifier`."""
    options = {name: _known(node, name) for name in ("coefficients", "intercepts")}
    labels, transform = list(node.attributes["labels"]), node.attributes["transform"]
    model.emit_many(
        "LinearClassifier",
        [model[node["input"]]],
        list(node.outputs),
        domain=_DOMAIN,
        classlabels_ints=labels,
        post_transform=transform,
        **options,
    )


@lowerings.lowers("label_encoder")
def label_encoder(node: Node, model: Model) -> None:
    """One LabelEncoder, for which NaN equals NaN from version 4 on."""
    model.require(4, _DOMAIN)
    kinds = {"float32": "float", "int64": "int64"}
    key, value = kinds[node["input"].data_type], kinds[node.output.data_type]
    default = _known(node, "default").item()
    options: dict[str, Any] = {f"keys_{key}s": _known(node, "keys"), f"values_{value}s": _known(node, "values")}
    options[f"default_{value}"] = default
    model.emit("LabelEncoder", [model[node["input"]]], to=node.output, domain=_DOMAIN, **options)


@lowerings.lowers("one_hot_encoder")
def one_hot_encoder(node: Node, model: Model) -> None:
    """One OneHotEncoder."""
    options = {"cats_int64s": list(node.attributes["categories"]), "zeros": node.attributes["zeros"]}
    model.emit("OneHotEncoder", [model[node["input"]]], to=node.output, domain=_DOMAIN, **options)


def _known(node: Node, name: str) -> np.ndarray[Any, Any]:
    array = node[name].constant
    assert array is not None
    return array.reshape(-1)
