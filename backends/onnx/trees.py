"""Tree ensembles and categories, as ONNX's operators of classical machine learning have them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.composites.tree_ensemble import EQUAL, LESS, LESS_OR_EQUAL, TABLES
from webnn.graph.ir import Node

__all__: list[str] = []

_DOMAIN: Final = "ai.onnx.ml"
_MODES: Final = {LESS_OR_EQUAL: b"BRANCH_LEQ", LESS: b"BRANCH_LT", EQUAL: b"BRANCH_EQ"}
_LEAF: Final = 7
"""The number of a leaf beside these, as in ONNX's `TreeEnsemble`."""


@lowerings.lowers("tree_ensemble")
def tree_ensemble(node: Node, model: Model) -> None:
    """One TreeEnsembleRegressor. Runtimes take the first node of a tree for its root, and number nodes within trees."""
    tables = {name: _table(node, name) for name in TABLES}
    trees, roots = tables["trees"], tables["roots"]
    is_root = np.zeros(len(trees), np.bool_)
    is_root[roots] = True
    order = np.argsort(2 * trees.astype(np.int64) + ~is_root, kind="stable")
    order = order[trees[order] >= 0]
    first = np.searchsorted(trees[order], np.arange(len(roots)))
    number = np.zeros(len(trees), np.int64)
    number[order] = np.arange(len(order)) - first[trees[order]]
    is_leaf = tables["if_true"] == np.arange(len(trees))
    weights = tables["weights"]
    voters, targets = np.nonzero(weights * (is_leaf & (trees >= 0))[:, None])
    silent = np.flatnonzero(is_leaf & (trees >= 0) & ~(weights != 0).any(1))  # each leaf needs a weight
    voters, targets = np.concatenate([voters, silent]), np.concatenate([targets, np.zeros_like(silent)])
    modes = np.where(is_leaf, _LEAF, tables["modes"])[order]
    # As arrays, which take less memory and time than lists of Python's numbers.
    model.emit(
        "TreeEnsembleRegressor",
        [model[node["input"]]],
        to=node.output,
        domain=_DOMAIN,
        n_targets=weights.shape[1],
        nodes_treeids=trees[order],
        nodes_nodeids=number[order],
        nodes_featureids=tables["features"][order],
        nodes_values=tables["splits"][order],
        nodes_modes=list(map({**_MODES, _LEAF: b"LEAF"}.__getitem__, modes.tolist())),
        nodes_missing_value_tracks_true=tables["missing"][order],
        nodes_truenodeids=np.where(is_leaf, 0, number[tables["if_true"]])[order],
        nodes_falsenodeids=np.where(is_leaf, 0, number[tables["if_false"]])[order],
        target_treeids=trees[voters],
        target_nodeids=number[voters],
        target_ids=targets,
        target_weights=weights[voters, targets],
    )


def _table(node: Node, name: str) -> np.ndarray[Any, Any]:
    table = node[name].constant
    assert table is not None
    return table


@lowerings.lowers("label_encoder")
def label_encoder(node: Node, model: Model) -> None:
    """One LabelEncoder, for which NaN equals NaN from version 4 on."""
    model.require(4, _DOMAIN)
    kinds = {"float32": "float", "int64": "int64"}
    key, value = kinds[node["input"].data_type], kinds[node.output.data_type]
    default = _table(node, "default").item()
    options: dict[str, Any] = {f"keys_{key}s": _table(node, "keys"), f"values_{value}s": _table(node, "values")}
    options[f"default_{value}"] = default
    model.emit("LabelEncoder", [model[node["input"]]], to=node.output, domain=_DOMAIN, **options)


@lowerings.lowers("one_hot_encoder")
def one_hot_encoder(node: Node, model: Model) -> None:
    """One OneHotEncoder."""
    options = {"cats_int64s": list(node.attributes["categories"]), "zeros": node.attributes["zeros"]}
    model.emit("OneHotEncoder", [model[node["input"]]], to=node.output, domain=_DOMAIN, **options)
