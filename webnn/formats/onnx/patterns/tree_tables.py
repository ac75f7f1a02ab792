"""Tree ensembles as tables of nodes, checked: one form for the attributes of three ONNX operators."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.composites.tree_ensemble import TABLES, VOTES, tables_of_votes
from webnn.graph.quick_dataclass import dataclass

__all__ = ["TreeEnsemble", "read_ensemble", "read_regressor_or_classifier"]

Array: TypeAlias = np.ndarray[Any, Any]

LESS_OR_EQUAL, LESS, GREATER_OR_EQUAL, GREATER, EQUAL, NOT_EQUAL, MEMBER, LEAF = range(8)
"""The comparison of a node, numbered as in `TreeEnsemble`."""

_MODES: Final = {
    "BRANCH_LEQ": LESS_OR_EQUAL,
    "BRANCH_LT": LESS,
    "BRANCH_GTE": GREATER_OR_EQUAL,
    "BRANCH_GT": GREATER,
    "BRANCH_EQ": EQUAL,
    "BRANCH_NEQ": NOT_EQUAL,
    "LEAF": LEAF,
}
_NEGATED: Final = {GREATER_OR_EQUAL: LESS, GREATER: LESS_OR_EQUAL, NOT_EQUAL: EQUAL}

_DEEPEST: Final = 512
"""The most comparisons from a root to a leaf; each takes several operators."""


@dataclass(frozen=True, slots=True)
class TreeEnsemble:
    """All nodes of all trees. A leaf is its own child."""

    features: Array
    splits: Array
    modes: Array
    """`LESS_OR_EQUAL`, `LESS` or `EQUAL`."""
    missing: Array
    """Whether NaN takes the branch where the comparison holds."""
    if_true: Array
    """The child if the comparison holds."""
    if_false: Array
    roots: Array
    depth: int
    """The most comparisons from a root to a leaf."""
    voters: Array
    """The leaf of each vote."""
    targets: Array
    """What it votes for."""
    weights: Array
    """With which weight."""
    trees: Array | None
    """The tree of each node, -1 for nodes of no tree; None if trees share nodes."""

    @property
    def tables(self) -> dict[str, Array]:
        """The tables that say which leaf a row reaches, as `webnn.graph.composites.tree_ensemble` takes them."""
        names = ("features", "splits", "modes", "missing", "if_true", "if_false", "roots")
        return {name: getattr(self, name).astype(TABLES[name]) for name in names}

    @property
    def votes(self) -> dict[str, Array]:
        """The tables of votes, as `webnn.graph.composites.tree_ensemble` takes them."""
        return {name: getattr(self, name) for name in VOTES}

    def weights_of_leaves(self, node: OnnxNode, columns: int) -> tuple[Array, Array]:
        """The weights of the leaves, `[nodes, columns]`, and whether they vote."""
        count = len(self.features)
        if not node.importer.budget.take(5 * count * columns):
            raise UnsupportedNodeError("the weights of its leaves take too much memory")
        return tables_of_votes(self.voters, self.targets, self.weights, shape=(count, columns))


def read_regressor_or_classifier(node: OnnxNode, prefix: str, targets: int) -> TreeEnsemble:
    """The trees of `TreeEnsembleRegressor` (`prefix` is "target") and `TreeEnsembleClassifier` ("class")."""
    names = ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")
    trees, ids, features, yes, no = (node.get_int_array(f"nodes_{name}") for name in names)
    count = len(ids)
    splits = _floats(node, "nodes_values")
    missing = node.get_int_array("nodes_missing_value_tracks_true", [0] * count).astype(np.bool_)
    written = node.get_strings("nodes_modes")
    unknown = sorted(set(written) - _MODES.keys())
    if unknown:
        raise DataError(f"nodes_modes has {unknown[0]!r}, expected one of {', '.join(_MODES)}")
    modes = np.fromiter(map(_MODES.__getitem__, written), np.int64, len(written))
    missing = missing if missing.size else np.zeros(count, np.bool_)
    _check_lengths(
        count, trees=trees, features=features, true=yes, false=no, values=splits, modes=modes, missing=missing
    )
    places = _Places(trees, ids)
    inner = np.flatnonzero(modes != LEAF)

    def followed(children: Array) -> Array:
        result = np.arange(count)
        result[inner] = places.of(trees[inner], children[inner])
        return result

    which = [node.get_int_array(f"{prefix}_{name}") for name in ("treeids", "nodeids", "ids")]
    weights = _floats(node, f"{prefix}_weights")
    _check_lengths(len(weights), **{f"{prefix} tree": which[0], f"{prefix} node": which[1], prefix: which[2]})
    leaves = places.of(which[0], which[1])
    _, roots = _distinct(trees)
    return _checked_ensemble(
        node,
        tables=(features, splits, modes, missing),
        children=(followed(yes), followed(no)),
        roots=roots,
        votes=(leaves, which[2], weights, targets),
    )


def read_ensemble(node: OnnxNode) -> TreeEnsemble:
    """The trees of `TreeEnsemble`, which numbers its leaves separately."""
    names = ("featureids", "truenodeids", "falsenodeids", "trueleafs", "falseleafs")
    features, yes, no, ends, ends_no = (node.get_int_array(f"nodes_{name}") for name in names)
    count = len(features)
    splits, modes = node.get_tensor("nodes_splits").reshape(-1), node.get_tensor("nodes_modes").reshape(-1)
    missing = node.get_int_array("nodes_missing_value_tracks_true", [0] * count).astype(np.bool_)
    targets, weights = node.get_int_array("leaf_targetids"), node.get_tensor("leaf_weights").reshape(-1)
    _check_lengths(count, true=yes, false=no, trueleafs=ends, falseleafs=ends_no, splits=splits, modes=modes)
    _check_lengths(count, missing=missing)
    _check_lengths(len(weights), leaf_targetids=targets)
    splits, modes, same = _with_members(node, splits, modes.astype(np.int64))
    features, yes, no, ends, ends_no = (row[same] for row in (features, yes, no, ends, ends_no))
    first, roots = np.searchsorted(same, np.arange(count)), node.get_int_array("tree_roots")
    count = len(features)
    if min(int(row.min(initial=0)) for row in (yes, no, roots)) < 0:
        raise DataError("the index of a root or a child is negative")
    # A node now has the index of its first comparison; where a member of a set differs, the next one is compared.
    yes = np.where(ends != 0, yes + count, first[np.where(ends != 0, 0, yes)])
    no = np.where(ends_no != 0, no + count, first[np.where(ends_no != 0, 0, no)])
    chained = np.flatnonzero(same[:-1] == same[1:])
    no[chained] = chained + 1
    leaves = count + np.arange(len(weights))
    pad = np.zeros(len(weights), np.int64)
    return _checked_ensemble(
        node,
        tables=(
            np.concatenate([features, pad]),
            np.concatenate([splits.astype(np.float64), pad]),
            np.concatenate([modes.astype(np.int64), pad + LEAF]),
            np.concatenate([missing[same], pad.astype(np.bool_)]),
        ),
        children=(
            np.concatenate([yes, leaves]),
            np.concatenate([no, leaves]),
        ),
        roots=first[roots],
        votes=(leaves, targets, weights, node.get_int("n_targets", 1)),
    )


def _with_members(node: OnnxNode, splits: Array, modes: Array) -> tuple[Array, Array, Array]:
    """Set membership as one node for each member; and the original node of each."""
    asked = np.flatnonzero(modes == MEMBER)
    if not len(asked):
        return splits, modes, np.arange(len(modes))
    values = node.get_tensor("membership_values").reshape(-1)
    ends = np.flatnonzero(np.isnan(values))
    if len(ends) < len(asked):
        raise DataError(f"membership_values has {len(ends)} sets for {len(asked)} nodes")
    parts = [splits[i : i + 1] for i in range(len(modes))]
    for place, part in zip(asked, np.split(values, ends), strict=False):
        members = part[~np.isnan(part)]
        parts[place] = members if len(members) else np.array([np.nan])  # to which nothing is equal
    same = np.repeat(np.arange(len(modes)), [len(part) for part in parts])
    return np.concatenate(parts), np.where(modes == MEMBER, EQUAL, modes)[same], same


def _checked_ensemble(
    node: OnnxNode,
    *,
    tables: tuple[Array, Array, Array, Array],
    children: tuple[Array, Array],
    roots: Array,
    votes: tuple[Array, Array, Array, int],
) -> TreeEnsemble:
    features, splits, modes, missing = tables
    if_true, if_false = children
    count = len(features)
    if not len(roots):
        raise DataError("the ensemble has no trees")
    for what, indices, size in (
        ("root", roots, count),
        ("child", if_true, count),
        ("child", if_false, count),
    ):
        if len(indices) and not 0 <= indices.min() <= indices.max() < size:
            raise DataError(f"the index of a {what} is outside the {size} nodes")
    inner = modes != LEAF
    if inner.any() and (features[inner].min() < 0 or features[inner].max() >= node.shape(0)[-1]):
        raise DataError(f"feature {features[inner].max()} is outside the {node.shape(0)[-1]} features of X")
    negated = np.isin(modes, list(_NEGATED))
    # NaN fails every comparison but "not equal", so a negated comparison swaps its branch.
    missing = np.where(negated, ~missing & (modes != NOT_EQUAL), missing) & inner
    if_true, if_false = (
        np.where(negated, if_false, if_true),
        np.where(negated, if_true, if_false),
    )
    modes = np.select([modes == mode for mode in _NEGATED], list(_NEGATED.values()), modes)
    splits, modes = _alike(splits, modes, inner)
    depth, trees = _followed(if_true, if_false, inner, roots)
    leaves, targets, weights, columns = votes
    if len(targets) and not 0 <= targets.min() <= targets.max() < columns:
        raise DataError(f"the target of a leaf is outside the {columns} targets")
    features, weights = np.where(inner, features, 0), weights.astype(np.float32)
    return TreeEnsemble(
        features, splits, modes, missing, if_true, if_false, roots, depth, leaves, targets, weights, trees
    )


def _alike(splits: Array, modes: Array, inner: Array) -> tuple[Array, Array]:
    """The nodes with as few comparisons as possible: "less" is "less or equal" to the preceding number."""
    splits = splits.astype(np.float32)
    if (modes[inner] == LESS_OR_EQUAL).any():
        before = np.nextafter(splits, np.float32(-np.inf))
        splits, modes = np.where(modes == LESS, before, splits), np.where(modes == LESS, LESS_OR_EQUAL, modes)
    common = modes[inner][0] if inner.any() else LESS_OR_EQUAL
    return np.where(inner, splits, np.float32(0)), np.where(inner, modes, common)


def _followed(if_true: Array, if_false: Array, inner: Array, roots: Array) -> tuple[int, Array | None]:
    """The depth of the trees, and the tree of each node unless trees share nodes."""
    trees, shared = np.full(len(if_true), -1), len(_distinct(roots)[0]) < len(roots)
    level, of = roots, np.arange(len(roots))
    trees[level] = of
    for depth in range(_DEEPEST + 1):
        going = inner[level]
        if not going.any():
            return depth, None if shared else trees
        level, of = level[going], of[going]
        following = np.concatenate([if_true[level], if_false[level]])
        level, first = _distinct(following)
        shared |= len(level) < len(following) or bool((trees[level] >= 0).any())
        of = np.concatenate([of, of])[first]
        trees[level] = of
    raise UnsupportedNodeError(
        f"its trees are more than {_DEEPEST} comparisons deep, or have cycles", "training with a max_depth"
    )


def _distinct(integers: Array) -> tuple[Array, Array]:
    """The different elements, in order, and the first place of each. `np.unique` would import all of `numpy.ma`."""
    order = np.argsort(integers, kind="stable")
    ordered = integers[order]
    is_first = np.ones(len(ordered), np.bool_)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_first], order[is_first]


class _Places:
    """Where the nodes are, by the number of the tree and that of the node in it."""

    def __init__(self, trees: Array, ids: Array) -> None:
        (self._trees, _), (self._ids, _) = _distinct(trees), _distinct(ids)
        keys, _ = self._keys(trees, ids)
        self._sorted, self._order = _distinct(keys)
        if len(self._sorted) != len(ids):
            raise DataError("two nodes of a tree have the same number")

    def of(self, trees: Array, ids: Array) -> Array:
        """The places of several nodes."""
        keys, is_there = self._keys(trees, ids)
        found, is_found = _looked_up(self._sorted, keys)
        is_there &= is_found
        if not is_there.all():
            missing = int(is_there.argmin())
            raise DataError(f"tree {trees[missing]} has no node {ids[missing]}")
        return self._order[found]

    def _keys(self, trees: Array, ids: Array) -> tuple[Array, Array]:
        """One number for each pair, and whether both of its parts are numbers of some node."""
        (tree, has_tree), (place, has_place) = _looked_up(self._trees, trees), _looked_up(self._ids, ids)
        return tree * len(self._ids) + place, has_tree & has_place


def _looked_up(ordered: Array, wanted: Array) -> tuple[Array, Array]:
    """Where the elements of `wanted` are in `ordered`, and whether they are there."""
    if not len(ordered):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return places, ordered[places] == wanted


def _floats(node: OnnxNode, name: str) -> Array:
    """A list of floats, or the tensor that some converters write for more digits."""
    if node.has_attribute(f"{name}_as_tensor"):
        return node.get_tensor(f"{name}_as_tensor").reshape(-1)
    return node.get_float_array(name)


def _check_lengths(count: int, **lists: Array) -> None:
    for name, values in lists.items():
        if len(values) != count:
            raise DataError(f"the list {name} has {len(values)} elements, expected {count}")
