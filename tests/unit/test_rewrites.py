"""`graph.explain().rewrites`: what the passes of the backend have replaced."""

from __future__ import annotations

import pytest

import webnn
from webnn.graph.rewrites import Rewrite, rewrite_between


def attention(context: webnn.MLContext) -> webnn.MLGraph:
    builder = context.create_graph_builder()
    q, k, v = (builder.input(name, [1, 4, 64, 32], "float32") for name in "qkv")
    scores = builder.matmul(q, builder.transpose(k, permutation=[0, 1, 3, 2]), label="scores")
    return builder.build({"y": builder.matmul(builder.softmax(scores * 0.25, 3), v, label="context")})


def test_a_recognized_attention_is_named_with_the_operators_that_it_stands_for() -> None:
    with webnn.create_context(backend="onnxruntime") as context:
        explanation = attention(context).explain()
    (rewrite,) = explanation.rewrites
    assert (rewrite.name, rewrite.labels, rewrite.added) == ("attention", ("context",), {"attention": 1})
    assert rewrite.removed == {"transpose": 1, "matmul": 2, "mul": 1, "softmax": 1}
    line = "attention at context: attention for transpose, 2 matmul, mul, softmax"
    assert str(rewrite) == line
    assert f"operators that are computed in another form:\n  {line}\n" in str(explanation)


@pytest.mark.parametrize("backend", ["arrays", "null"])
def test_backends_without_passes_rewrite_nothing(backend: str) -> None:
    with webnn.create_context(backend=backend) as context:
        explanation = attention(context).explain()
    assert not explanation.rewrites
    assert "another form" not in str(explanation)


def test_a_graph_that_no_pass_changes_has_no_rewrites() -> None:
    with webnn.create_context(backend="onnxruntime") as context:
        builder = context.create_graph_builder()
        graph = builder.build({"y": builder.relu(builder.input("x", [4], "float32"))})
        assert not graph.explain().rewrites
        assert rewrite_between("a pass that copies", graph._graph, graph._graph) is None


def test_many_labels_are_cut_off_in_the_text_alone() -> None:
    rewrite = Rewrite("exact elu", {"elu": 4}, {"mul": 8, "tanh": 4}, ("a", "b", "c", "d"))
    assert str(rewrite) == "exact elu at a, b, c, ...: 8 mul, 4 tanh for 4 elu"
