"""Random ensembles of trees, linear classifiers and support vector machines."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from tests.property.onnx_models import Models, Value
from tests.property.onnx_nodes.table import adds

__all__: list[str] = []

DOMAIN: Final = "ai.onnx.ml"
MODES: Final = ("LEQ", "LT", "GT", "GTE", "EQ", "NEQ")


def _floats(m: Models, count: int) -> list[float]:
    return [m.one_of(-1.5, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0) for _ in range(count)]


def _rows(m: Models) -> Value:
    dtype = m.one_of(np.float32, np.float32, np.int64, np.float64, np.int32)
    return m.take(dtype, (m.between(1, 4), m.between(1, 4)), exact=True)


@adds("LinearClassifier", "SVMRegressor")
def _linear(m: Models, op_type: str) -> bool:
    x = _rows(m)
    columns, count = x.shape[1], m.between(1, 3)
    options: dict[str, Any] = {"post_transform": m.one_of("NONE", "LOGISTIC", "SOFTMAX")} if m.maybe() else {}
    if op_type == "LinearClassifier":
        options |= {"coefficients": _floats(m, count * columns), "intercepts": _floats(m, count)}
        options |= {"classlabels_ints": m.rng.sample(range(-1, 6), max(count, 2)), "multi_class": m.between(0, 1)}
        return m.node(op_type, [x], domain=DOMAIN, outputs=2, **options)
    options |= {"kernel_type": m.one_of("LINEAR", "POLY", "RBF", "SIGMOID"), "one_class": m.between(0, 1)}
    options |= {"kernel_params": [0.5, 0.25, float(m.between(1, 3))], "rho": _floats(m, 1), "n_supports": count}
    options |= {"support_vectors": _floats(m, count * columns), "coefficients": _floats(m, count)}
    return m.node(op_type, [x], domain=DOMAIN, **options)


@adds("OneHotEncoder", "FeatureVectorizer")
def _columns(m: Models, op_type: str) -> bool:
    dtype = m.one_of(np.float32, np.int64, np.int32, np.float64)
    if op_type == "OneHotEncoder":
        x = m.fresh(np.round(m.array(dtype, m.shape(1, 2), 0, 4)))
        known = m.rng.sample(range(5), m.between(1, 4))
        return m.node(op_type, [x], domain=DOMAIN, exact=True, cats_int64s=known, zeros=1)
    rows = m.between(1, 4)
    parts = [m.take(dtype, (rows, m.between(1, 3)), exact=True) for _ in range(m.between(1, 3))]
    sizes = [part.shape[1] for part in parts]
    return m.node(op_type, parts, domain=DOMAIN, exact=True, inputdimensions=sizes)


@adds("TreeEnsembleRegressor")
def _trees(m: Models, op_type: str) -> bool:
    """Trees whose leaves vote for some of the targets."""
    x, targets = _rows(m), m.between(1, 3)
    if x.array.dtype == np.float32 and m.maybe(0.3):
        x = m.fresh(np.where(m.array(np.bool_, x.shape), np.float32(np.nan), x.array))
    nodes: list[list[Any]] = []
    votes: list[tuple[int, int, int, float]] = []

    def grow(tree: int, depth: int) -> int:
        number = [node[0] for node in nodes].count(tree)
        node: list[Any] = [tree, number, "LEAF", 0, 0.0, 0, 0, 0]
        nodes.append(node)
        if depth == 0 or m.maybe(0.3):
            chosen = m.rng.sample(range(targets), m.between(1, targets))
            votes.extend((tree, number, target, _floats(m, 1)[0]) for target in sorted(chosen))
        else:
            node[2:5] = f"BRANCH_{m.one_of(*MODES)}", m.between(0, x.shape[1] - 1), *_floats(m, 1)
            node[5:] = grow(tree, depth - 1), grow(tree, depth - 1), m.between(0, 1)
        return number

    for tree in range(m.between(1, 4)):
        grow(tree, m.between(0, 3))
    names = ["treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids"]
    names.append("missing_value_tracks_true")
    options = {f"nodes_{name}": list(column) for name, column in zip(names, zip(*nodes, strict=True), strict=True)}
    columns = zip(("treeids", "nodeids", "ids", "weights"), zip(*votes, strict=True), strict=True)
    options |= {f"target_{name}": list(column) for name, column in columns}
    if m.maybe(0.3):
        options["base_values"] = _floats(m, targets)
    function, transform = m.one_of("SUM", "AVERAGE", "MIN", "MAX"), m.one_of("NONE", "LOGISTIC", "SOFTMAX")
    return m.node(
        op_type,
        [x],
        domain=DOMAIN,
        n_targets=targets,
        aggregate_function=function,
        post_transform=transform,
        **options,
    )
