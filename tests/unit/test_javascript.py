"""Graphs as JavaScript modules; `tests/conformance/chromium/test_modules.py` runs them in browsers."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder
from webnn.errors import OperationError, ValidationError
from webnn.formats.javascript import page as page_module
from webnn.formats.javascript.module import literal, resource
from webnn.formats.javascript.page import save_html
from webnn.formats.javascript.saving import save_js
from webnn.formats.safetensors import SafeTensors, load_safetensors
from webnn.graph.composites.scatter_reduce import scattered_elements
from webnn.graph.ir import Graph


def calls_of(graph: Graph, folder: Path) -> list[str]:
    """The lines of `build` in the module of `graph`."""
    save_js(graph, folder / "app.js")
    source = (folder / "app.js").read_text(encoding="utf-8")
    body = source.partition("export async function build(context, weights, choose) {\n")[2].partition("\n}\n")[0]
    return [line.strip() for line in body.splitlines() if line]


def test_a_graph_is_written_as_the_calls_that_one_writes_by_hand(tmp_path: Path) -> None:
    builder = direct_builder()
    x = builder.input("x", (1, 4, 4, 2), "float32")
    weight = builder.constant(np.ones((3, 3, 3, 2), np.float32))
    y = builder.conv2d(x, weight, padding=(1, 1, 1, 1), input_layout="nhwc", filter_layout="ohwi", label="stem/conv")
    first, second = builder.split(builder.clamp(y, min_value=-np.inf, max_value=6), (1, 2), axis=3)
    graph = builder.build({"first": first, "sum": builder.reduce_sum(second, axes=(1, 2))})
    assert calls_of(graph, tmp_path) == [
        "const builder = graphBuilder(context, choose);",
        "const constant = constantsOf(context, builder, weights);",
        'const x = builder.input("x", { dataType: "float32", shape: [1, 4, 4, 2] });',
        'const constant_0 = await constant("constant_0", "float32", [3, 3, 3, 2]);',
        "const conv2d_0 = builder.conv2d(x, constant_0, { padding: [1, 1, 1, 1],"
        ' strides: [1, 1], dilations: [1, 1], inputLayout: "nhwc", filterLayout: "ohwi", label: "stem/conv" });',
        "const clamp_1 = builder.clamp(conv2d_0, { minValue: -Infinity, maxValue: 6 });",
        "const [first, split_2_1] = builder.split(clamp_1, [1, 2], { axis: 3 });",
        "const sum = builder.reduceSum(split_2_1, { axes: [1, 2] });",
        "return builder.build({ first, sum });",
    ]
    assert load_safetensors(tmp_path / "app.safetensors")["constant_0"].shape == (3, 3, 3, 2)


def test_values_are_not_called_like_words_of_the_language(tmp_path: Path) -> None:
    builder = direct_builder()
    operands = {name: builder.input(name, (1,), "float32") for name in ("class", "builder", "a b", "a-b", "2", "ü")}
    graph = builder.build({"await": builder.concat([*operands.values()], 0)})
    names = [line.removeprefix("const ").partition(" = ")[0] for line in calls_of(graph, tmp_path)]
    assert names[1:-1] == ["class_", "builder_", "a_b", "a_b_", "_2", "_", "await_"]


def test_a_list_of_one_output_is_taken_apart(tmp_path: Path) -> None:
    builder = direct_builder()
    (only,) = builder.split(builder.input("x", (2,), "float32"), 1)
    assert "const [y] = builder.split(x, [2]);" in calls_of(builder.build({"y": only}), tmp_path)


@pytest.mark.parametrize(
    ("array", "written"),
    [
        (np.array([0.1, 1e-45, 3e38], np.float32), "new Float32Array([0.1, 1e-45, 3e+38])"),
        (np.array([np.nan, np.inf, -np.inf, -0.0], np.float32), "new Float32Array([NaN, Infinity, -Infinity, -0])"),
        (np.array([1, -2], np.float16), "new Uint16Array([0x3c00, 0xc000]).buffer"),
        (np.array([2**62 + 1, -1], np.int64), "new BigInt64Array([4611686018427387905n, -1n])"),
        (np.array([200], np.uint8), "new Uint8Array([200])"),
        (np.array(2.5, np.float32), "new Float32Array([2.5])"),
    ],
)
def test_a_small_constant_is_written_exactly(array: np.ndarray, written: str, tmp_path: Path) -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.identity(builder.constant(array))})
    (constant,) = [line for line in calls_of(graph, tmp_path) if line.startswith("const constant_0")]
    assert constant.endswith(f", {written});")
    assert not (tmp_path / "app.safetensors").exists()


def test_a_large_bound_is_a_big_integer(tmp_path: Path) -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.clamp(builder.input("x", (1,), "int64"), max_value=2**60)})
    assert f"const y = builder.clamp(x, {{ minValue: {-(2**63)}n, maxValue: {2**60}n }});" in calls_of(graph, tmp_path)


def test_the_name_of_a_number_is_a_label_all_the_same(tmp_path: Path) -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.abs(builder.input("x", (1,), "float32"), label="NaN")})
    assert 'const y = builder.abs(x, { label: "NaN" });' in calls_of(graph, tmp_path)


def test_a_text_can_end_no_script_element() -> None:
    assert literal("</script> <!-- <Script 1 < 2") == '"\\u003c/script> \\u003c!-- \\u003cScript 1 < 2"'


def test_a_name_that_cannot_be_encoded_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.abs(builder.input("\ud800", (1,), "float32"))})
    with pytest.raises(ValidationError, match="half of a surrogate pair"):
        save_js(graph, tmp_path / "app.js")
    assert list(tmp_path.iterdir()) == []


def test_the_types_name_inputs_and_outputs(tmp_path: Path) -> None:
    builder = direct_builder()
    x = builder.input("pixel values", (1, 3), "float16")
    save_js(builder.build({"ids": builder.arg_max(x, 1, output_data_type="int64")}), tmp_path / "app.js")
    types = (tmp_path / "app.d.ts").read_text(encoding="utf-8")
    assert '/** float16 [1, 3] */\n  readonly "pixel values": Half | ArrayBuffer;' in types
    assert '/** int64 [1] */\n  readonly "ids": BigInt64Array;' in types
    assert (tmp_path / "webnn.d.ts").read_text(encoding="utf-8") == resource("webnn.d.ts")


def test_the_types_of_webnn_are_those_of_the_specification() -> None:
    generator = pytest.importorskip("docs.generate_webnn_types", reason="the sources are not beside the tests")
    assert resource("webnn.d.ts") == generator.declarations()


def page_of(graph: Graph, folder: Path, **options: Any) -> str:
    path = folder / "a <page>.html"
    save_html(graph, path, **options)
    return path.read_text(encoding="utf-8")


def data_of(page: str, part: str, folder: Path) -> SafeTensors:
    """The arrays in the data elements of a page."""
    elements = re.findall(f'<script type="text/plain" data-part="{part}">(.*?)</script>', page)
    file = folder / f"{part}.safetensors"
    file.write_bytes(b"".join(map(base64.b64decode, elements)))
    return load_safetensors(file)


def scaled(factors: np.ndarray) -> Graph:
    builder = direct_builder()
    x = builder.input("x", factors.shape, "float32")
    product = builder.mul(x, builder.constant(factors))
    return builder.build({"y": product, "count": builder.arg_max(product, 0)})


def test_a_page_holds_the_weights_and_a_test(tmp_path: Path) -> None:
    factors = np.arange(-50, 50, dtype=np.float32)
    x = np.full(100, 2, np.float32)
    page = page_of(scaled(factors), tmp_path, inputs={"x": x})
    assert "<title>a &lt;page&gt;</title>" in page
    np.testing.assert_array_equal(data_of(page, "weights", tmp_path)["constant_0"], factors)
    test = data_of(page, "test", tmp_path)
    np.testing.assert_array_equal(test["input x"], x)
    np.testing.assert_array_equal(test["output y"], factors * 2)
    assert json.loads(test.metadata["webnn.tolerances"]) == {"y": pytest.approx(100 * 1e-3), "count": 0}


def test_a_page_asks_no_other_address_for_anything(tmp_path: Path) -> None:
    page = page_of(scaled(np.ones(100, np.float32)), tmp_path)
    assert re.findall(r'(?:src|href)="(?!data:,")[^"]*"', page) == []


def test_a_graph_that_refuses_random_inputs_needs_others(tmp_path: Path) -> None:
    builder = direct_builder(composites=("scatter_reduce_elements",))
    x, updates = (builder.input(name, (3, 4), "float32") for name in ("x", "updates"))
    indices = builder.input("indices", (3, 4), "int32")
    y = scattered_elements(builder, x, indices, updates, axis=0, reduction="add")
    graph = builder.build({"y": y})
    with pytest.raises(OperationError, match=r"cannot be run on random inputs; give valid ones as inputs: .*indices"):
        page_of(graph, tmp_path)
    feeds: dict[str, np.ndarray] = {name: np.ones((3, 4), np.float32) for name in ("x", "updates")}
    feeds["indices"] = np.zeros((3, 4), np.int32)
    page_of(graph, tmp_path, inputs=feeds)
    with pytest.raises(OperationError, match=r"^onnxruntime: "):
        page_of(graph, tmp_path, inputs={**feeds, "indices": feeds["indices"] + 3})


def test_the_same_seed_gives_the_same_page(tmp_path: Path) -> None:
    graph = scaled(np.ones(100, np.float32))
    assert page_of(graph, tmp_path) == page_of(graph, tmp_path)
    assert page_of(graph, tmp_path) != page_of(graph, tmp_path, seed=1)


def test_weights_may_be_larger_than_one_element(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "CHUNK", 300)  # of 400 bytes and a header
    factors = np.arange(100, dtype=np.float32)
    page = page_of(scaled(factors), tmp_path)
    assert page.count('<script type="text/plain" data-part="weights">') == 2
    np.testing.assert_array_equal(data_of(page, "weights", tmp_path)["constant_0"], factors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": {"z": np.ones(2)}}, r"save: inputs must be arrays for \['x'\], got \['z'\]"),
        ({"inputs": 3}, r"save: inputs must be arrays for \['x'\], got int"),
        ({"inputs": {"x": np.ones(3, np.float32)}}, r"save: inputs: 'x': .*\[2\].*\[3\]"),
        ({"outputs": {"y": np.ones(2, np.float32)}}, r"save: outputs must be arrays for \['y', 'count'\], got \['y'\]"),
        ({"tolerance": -1}, "save: tolerance must be a number from 0, got -1"),
        ({"tolerance": "1"}, "save: tolerance must be a number from 0, got '1'"),
    ],
)
def test_a_test_that_does_not_fit_the_graph_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=message):
        page_of(scaled(np.ones(2, np.float32)), tmp_path, **options)
    assert list(tmp_path.iterdir()) == []
