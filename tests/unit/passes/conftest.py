"""What a pass needs, as the pipeline has it, compared with what the pass does, in every test of a pass."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from webnn.backends.onnxruntime.passes.pipeline import PASSES, Pass, traits
from webnn.graph.ir import Graph


def checked(run: Pass, rewrite: Any) -> Any:
    """`rewrite` as the module of the pass has it, which must not change a graph that the pipeline keeps from it."""

    def compared(graph: Graph, *args: Any) -> Graph:
        after: Graph = rewrite(graph, *args)
        if after is not graph:
            missing = [set(group) for group in run.needs if group.isdisjoint(traits(graph))]
            assert missing == [], f"{run.__name__} changed a graph that has none of these"
        return after

    return compared


@pytest.fixture(autouse=True)
def passes_change_only_what_the_pipeline_gives_them() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for run in PASSES:
            module = import_module(f"webnn.backends.onnxruntime.passes.{run.__name__}")
            if run.__name__ == "recognized_composites":  # which hands its graph on
                module = import_module("webnn.backends.onnxruntime.expansions")
            patch.setattr(module, "rewritten", checked(run, module.rewritten))
        yield
