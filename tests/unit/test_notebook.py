"""What notebooks show of contexts and tensors."""

from __future__ import annotations

import re

import webnn
from webnn.runtime.notebook import table


def cells(page: str) -> dict[str, str]:
    return dict(re.findall(r"<tr><th>(.*?)</th><td>(.*?)</td></tr>", page))


def test_a_notebook_shows_a_tensor_without_its_elements() -> None:
    with webnn.create_context(backend="arrays") as context:
        tensor = context.create_tensor([2, 3], "float16", readable=True, writable=True)
        shown = {"data type": "float16", "shape": "[2, 3]", "size": "12 B", "access": "readable, writable"}
        assert cells(tensor._repr_html_()) == {**shown, "state": "alive"}
        tensor.destroy()
        assert cells(tensor._repr_html_())["state"] == "destroyed"
        assert cells(context.create_tensor([1], "int8")._repr_html_())["access"] == "dispatch only"
        assert cells(context.create_constant_tensor([1], "int8", b"1")._repr_html_())["access"] == "constant"


def test_a_notebook_shows_a_context_with_its_memory_and_work() -> None:
    with webnn.create_context(backend="arrays") as context:
        builder = context.create_graph_builder()
        graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
        context.run(graph, [1, 2]).result()
        shown = cells(context._repr_html_())
        assert (shown["backend"], shown["accelerated"], shown["state"]) == ("arrays", "no", "alive")
        assert (shown["graphs"], shown["runs"]) == ("1", "1 begun, 0 queued")
        assert re.fullmatch(r"\d+ B in use, \d+ B idle, \d+ B at the peak", shown["memory"])
    assert cells(context._repr_html_())["state"] == "lost"


def test_text_in_a_table_is_escaped() -> None:
    assert table("<i>", {"a & b": "<script>"}) == (
        "<table><caption>&lt;i&gt;</caption><tbody><tr><th>a &amp; b</th><td>&lt;script&gt;</td></tr></tbody></table>"
    )
