"""Tree ensembles, as ONNX's operators of classical machine learning have them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.composites.tree_ensemble import EQUAL, LESS, LESS_OR_EQUAL, TABLES, VOTES
from webnn.graph.ir import Node

__all__: list[str] = []

_DOMAIN: Final = "ai.onnx.ml"
_MODES: Final = {LESS_OR_EQUAL: b"BRANCH_LEQ", LESS: b"BRANCH_LT", EQUAL: b"BRANCH_EQ"}
_LEAF: Final = 7
"""The number of a leaf beside these, as in ONNX's `TreeEnsemble`."""


@lowerings.lowers("tree_ensemble")
def tree_ensemble(node: Node, model: Model) -> None:
    """One TreeEnsembleRegressor."""
    options = _ensemble(node, "target", all_vote=True)
    options |= {
        "n_targets": node.output.shape[1],
        "aggregate_function": "AVERAGE" if node.attributes["average"] else None,
    }
    model.emit("TreeEnsembleRegressor", [model[node["input"]]], to=node.output, domain=_DOMAIN, **options)


@lowerings.lowers("tree_classifier")
def tree_classifier(node: Node, model: Model) -> None:
    """One TreeEnsembleClassifier. Leaves without votes stay without, since they say which classes have a score."""
    options = _ensemble(node, "class", all_vote=False)
    options |= {"classlabels_int64s": list(node.attributes["labels"]), "post_transform": node.attributes["transform"]}
    model.emit_many("TreeEnsembleClassifier", [model[node["input"]]], list(node.outputs), domain=_DOMAIN, **options)


def _ensemble(node: Node, prefix: str, *, all_vote: bool) -> dict[str, Any]:
    """The nodes and the votes. Runtimes take the first node of a tree for its root, and number nodes within trees."""
    tables = {name: _table(node, name) for name in (*TABLES, *VOTES)}
    trees, roots = tables["trees"], tables["roots"]
    is_root = np.zeros(len(trees), np.bool_)
    is_root[roots] = True
    order = np.argsort(2 * trees.astype(np.int64) + ~is_root, kind="stable")
    order = order[trees[order] >= 0]
    first = np.searchsorted(trees[order], np.arange(len(roots)))
    number = np.zeros(len(trees), np.int64)
    number[order] = np.arange(len(order)) - first[trees[order]]
    is_leaf = tables["if_true"] == np.arange(len(trees))
    voters, targets, weights = (tables[name] for name in VOTES)
    reached = trees[voters] >= 0
    voters, targets, weights = voters[reached], targets[reached], weights[reached]
    if all_vote:
        silent = is_leaf & (trees >= 0)
        silent[voters] = False
        more = np.flatnonzero(silent)
        voters, targets = np.concatenate([voters, more]), np.concatenate([targets, np.zeros_like(more)])
        weights = np.concatenate([weights, np.zeros(len(more), np.float32)])
    modes = np.where(is_leaf, _LEAF, tables["modes"])[order]
    base = node.get("base")
    # As arrays, which take less memory and time than lists of Python's numbers.
    return {
        "nodes_treeids": trees[order],
        "nodes_nodeids": number[order],
        "nodes_featureids": tables["features"][order],
        "nodes_values": tables["splits"][order],
        "nodes_modes": list(map({**_MODES, _LEAF: b"LEAF"}.__getitem__, modes.tolist())),
        "nodes_missing_value_tracks_true": tables["missing"][order],
        "nodes_truenodeids": np.where(is_leaf, 0, number[tables["if_true"]])[order],
        "nodes_falsenodeids": np.where(is_leaf, 0, number[tables["if_false"]])[order],
        f"{prefix}_treeids": trees[voters],
        f"{prefix}_nodeids": number[voters],
        f"{prefix}_ids": targets,
        f"{prefix}_weights": weights,
        "base_values": None if base is None else base.constant,
    }


def _table(node: Node, name: str) -> np.ndarray[Any, Any]:
    table = node[name].constant
    assert table is not None
    return table
