"""A random call, fitted to a random target with narrow limits, computes the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.calls import VALID, valid_call
from tests.property.draft import Array, Draft
from webnn.backends.arrays.backend import ArraysBackend
from webnn.errors import ValidationError
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS, Limits
from webnn.targets.decompositions import DECOMPOSITIONS
from webnn.targets.fitting import fit
from webnn.targets.target import Target

EXAMPLES = (settings.default or settings()).max_examples // 5
TYPES = ("float32", "int32")
RANK = 4


def narrow(op: str, lacks: bool) -> Target:
    """A target that takes few types and ranks for `op`, or does not have it."""
    rows = {
        name: Limits(
            tuple(t for t in row.allowed if t in TYPES) or row.allowed, (row.ranks[0], max(RANK, row.ranks[0]))
        )
        for name, row in SPEC_LIMITS[op].items()
    }
    others = {name: limits for name, limits in SPEC_LIMITS.items() if name != op}
    return Target("narrow", "", others if lacks else {**others, op: rows})


def is_tame(graph: Graph, feeds: Mapping[str, Array]) -> bool:
    """Whether all numbers are small, so that they fit into any type that they are computed in."""
    arrays = [feeds[name] for name in graph.inputs] + [np.asarray(operand.constant) for operand in graph.constants]
    return all(bool((np.abs(array.astype(np.float64)) < 100).all()) for array in arrays)


@pytest.mark.parametrize("op", VALID)
def test_a_fitted_call_computes_the_same(op: str) -> None:
    @settings(max_examples=EXAMPLES)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        draft = Draft(data, ArraysBackend())
        try:
            results = valid_call(draft, op).on(draft.builder)
            graph = draft.builder.build({f"y{i}": result for i, result in enumerate(results)})
        except ValidationError:  # such as 4-bit outputs
            return
        for lacks in (False, True):
            result = fit(graph, narrow(op, lacks), inputs={name: draft.feeds[name] for name in graph.inputs})
            assert list(result.graph.inputs) == list(graph.inputs)
            assert result.graph.output_descriptors == graph.output_descriptors
            if lacks and op in DECOMPOSITIONS and not result.after.problems:
                assert op not in {node.op for node in result.graph.nodes}
            assert result.equal or not is_tame(graph, draft.feeds), str(result)

    check()
