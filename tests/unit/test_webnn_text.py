"""`.webnn` files: text and JSON, with weights beside them, there and back."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import webnn
from tests.direct import DirectHost
from tests.property.calls import VALID, valid_call
from tests.property.draft import Draft
from webnn.backends.null import NullBackend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import DataError, ValidationError
from webnn.formats import load_webnn
from webnn.formats.safetensors import save_safetensors
from webnn.formats.webnn_text import import_webnn
from webnn.formats.webnn_text.json_form import json_of, parse_json_form
from webnn.formats.webnn_text.outline import outline_webnn
from webnn.formats.webnn_text.parser import parse_text
from webnn.formats.webnn_text.saving import save_json, save_webnn
from webnn.formats.webnn_text.writer import text_of
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph

EXAMPLES: Final = Path(__file__).resolve().parents[3] / "shared" / "formats" / "examples"

REFERENCE: Final = """
webnn_graph "format_reference" v2 @quantized {  # a comment
  inputs { x: f32[dyn("batch", 8), 4]; }
  consts { s: f32[] @scalar(1.5); b: u8[4] @bytes([1,2, 3 ,255]); w: f32[4, 4] @weights("a.b::c"); own: i64[2]; }
  nodes {
    y = add(x, s, meta={a: [1, -2.5e-3, {"b c": null}], flag: true, "say": "\\"hi\\" \\\\ \\n"});
    [p, q] = split(y, splits=[2,2], axis=1);
    z = concat(p, q, axis=1);
    again = z;
  }
  outputs { z, p; again }
}
"""


def host() -> MLGraphBuilder[Graph]:
    return MLGraphBuilder(DirectHost(NullBackend()))


def load(path: Path, **options: Any) -> Graph:
    builder = host()
    return builder.build(import_webnn(path, builder, **options))


def written(folder: Path, text: str, name: str = "g.webnn") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def graph_text(nodes: str = "y = relu(x);", inputs: str = "x: f32[2];", consts: str = "", outputs: str = "y;") -> str:
    return (
        f'webnn_graph "g" v1 {{\ninputs {{ {inputs} }}\nconsts {{ {consts} }}\n'
        f"nodes {{ {nodes} }}\noutputs {{ {outputs} }}\n}}"
    )


@pytest.fixture(scope="module")
def context() -> Iterator[webnn.MLContext]:
    with webnn.ML().create_context() as context:
        yield context


# There and back.


def test_the_reference_document_survives_text_and_json_and_back() -> None:
    first = parse_text(REFERENCE, "r.webnn")
    second = parse_json_form(json_of(first).encode(), "r.json")
    third = parse_text(text_of(second), "r.webnn")
    assert first == second == third
    assert text_of(third) == text_of(first)
    assert third.nodes[0].options["meta"]["say"] == '"hi" \\ \\n'
    assert third.version == 2
    assert third.quantized


def round_trip(graph: Graph, folder: Path) -> None:
    for save, name in ((save_webnn, "a.webnn"), (save_json, "b.json")):
        for weights in ("safetensors", "blob"):
            path = folder / weights / name
            path.parent.mkdir(exist_ok=True)
            save(graph, path, weights=weights)
            loaded = load(path)
            assert loaded.structure_hash == graph.structure_hash
            assert [node.label for node in loaded.nodes] == [node.label for node in graph.nodes]
            for ours, theirs in zip(graph.constants, loaded.constants, strict=True):
                assert ours.constant is not None
                assert theirs.constant is not None
                assert ours.constant.tobytes() == theirs.constant.tobytes()
            for left in path.parent.iterdir():
                left.unlink()


@pytest.mark.parametrize("op", VALID)
@settings(max_examples=5)
@given(data=st.data())
def test_every_operator_survives_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, op: str, data: st.DataObject
) -> None:
    draft = Draft(data, OnnxRuntimeBackend())
    named = draft.builder.input
    draft.builder.input = lambda name, *rest: named(name.replace(" ", "_"), *rest)  # type: ignore[method-assign]
    outputs = [o for o in valid_call(draft, op).on(draft.builder) if o.data_type not in ("int4", "uint4")]
    if outputs:
        graph = draft.builder.build({f"out{i}": draft.builder.identity(o) for i, o in enumerate(outputs)})
        round_trip(graph, tmp_path_factory.getbasetemp())


def test_constants_of_every_kind_survive_a_round_trip(tmp_path: Path) -> None:
    builder = host()
    x = builder.input("x", [200], "float32")
    for value in (1.5, -0.0, np.inf, np.nan, np.arange(200), np.arange(3)[:, None] + np.zeros(200)):
        x = builder.add(x, builder.constant(np.asarray(value, np.float32)))
    integers = [builder.constant(np.array(v, "int64")) for v in (5, 2**24 + 1, -(2**63))]
    large = builder.constant(np.array(2**64 - 1, np.uint64))
    quantized = builder.constant(np.array([-8, 7, 3], ml_dtypes.int4))
    one = builder.constant(np.ones(1, np.float32))
    wide = builder.dequantize_linear(quantized, one, builder.constant(np.zeros(1, ml_dtypes.int4)))
    outputs = {"sum": x, "wide": wide, "large": builder.identity(large)}
    round_trip(builder.build(outputs | {f"i{n}": builder.identity(i) for n, i in enumerate(integers)}), tmp_path)


def test_an_array_that_two_constants_share_is_stored_once(tmp_path: Path) -> None:
    builder = host()
    array = np.ones((100, 100), np.float32)
    x = builder.input("x", [100, 100], "float32")
    y = builder.matmul(builder.matmul(x, builder.constant(array)), builder.constant(array))
    save_webnn(builder.build({"y": y}), tmp_path / "g.webnn")
    assert (tmp_path / "g.safetensors").stat().st_size < 41_000
    assert len(load(tmp_path / "g.webnn").constants) == 2


def test_one_value_may_have_two_names_as_an_output(tmp_path: Path) -> None:
    builder = host()
    y = builder.relu(builder.input("x", [2], "float32"))
    round_trip(builder.build({"y": y, "again": y}), tmp_path)


def test_an_output_called_like_an_input_has_another_name_in_text(tmp_path: Path) -> None:
    builder = host()
    graph = builder.build({"x": builder.relu(builder.input("x", [2], "float32"))})
    save_json(graph, tmp_path / "g.json")
    assert load(tmp_path / "g.json").structure_hash == graph.structure_hash
    assert save_webnn(graph, tmp_path / "g.webnn")["outputs"] == {"x": "x_2"}
    assert load(tmp_path / "g.webnn").structure_hash == graph.structure_hash


@pytest.mark.parametrize("name", ["136", "a:0", "ä", "1a", "a b", "a-b", "onnx::Conv_45", "null", "}", '"\n#'])
@pytest.mark.parametrize("save", [save_json, save_webnn])
def test_any_name_is_kept(tmp_path: Path, name: str, save: Callable[[Graph, Path], Any]) -> None:
    builder = host()
    b = builder.input(name, [2], "float32")
    w = builder.constant(np.ones((2, 2), np.float32))
    y = builder.gemm(builder.input("x", [2, 2], "float32"), w, c=b)
    graph = builder.build({f"{name}'": builder.relu(y), "y": y})
    path = tmp_path / ("g.webnn" if save is save_webnn else "g.json")
    save(graph, path)
    assert load(path).structure_hash == graph.structure_hash
    assert [value.name for value in outline_webnn(path).inputs] == list(graph.inputs)
    assert [value.name for value in outline_webnn(path).outputs] == list(graph.outputs)


def test_names_in_place_of_others_differ(tmp_path: Path) -> None:
    builder = host()
    inputs = [builder.input(name, [2], "float32") for name in ("a:b", "a b", "a_b_2", "_1")]
    graph = builder.build({"1": builder.relu(inputs[0]), "2": inputs[1] + inputs[2] + inputs[3]})
    names = save_webnn(graph, tmp_path / "g.webnn")
    assert names == {"inputs": {"a:b": "a_b", "a b": "a_b_3"}, "outputs": {"1": "_1_2", "2": "_2"}}
    assert load(tmp_path / "g.webnn").structure_hash == graph.structure_hash


def test_a_name_that_was_changed_by_hand_is_the_new_one(tmp_path: Path) -> None:
    comments = '# webnn.inputs {"_1": "1"}\n# webnn.outputs {"_2": "2"}\n'
    text = comments + graph_text("logits = relu(_1);", "_1: f32[2];", outputs="logits;")
    graph = load(written(tmp_path, text))
    assert list(graph.inputs) == ["1"]
    assert list(graph.outputs) == ["logits"]


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("inputs {x: 1}", "g.webnn:1:1: expected a JSON object of names"),
        ('inputs {"x": 1}', "g.webnn:1:1: expected a JSON object of names"),
        ("outputs " + "[" * 100_000, "g.webnn:1:1: expected a JSON object of names"),
        ('inputs {"x": "b"}', "g.webnn:1:1: this comment gives 2 inputs the name 'b'"),
    ],
)
def test_a_comment_with_names_is_checked(tmp_path: Path, comment: str, message: str) -> None:
    text = f"# webnn.{comment}\n" + graph_text("y = add(x, b);", "x: f32[2]; b: f32[2];")
    with pytest.raises(DataError, match=re.escape(message)):
        load(written(tmp_path, text))


@pytest.mark.parametrize("weights", ["safetensors", "blob"])
@pytest.mark.parametrize("suffix", [".webnn", ".json"])
def test_a_saved_graph_gives_the_same_numbers(
    context: webnn.MLContext, tmp_path: Path, suffix: str, weights: str
) -> None:
    builder = context.create_graph_builder()
    x = builder.input("x", [1, 3, 8, 8], "float32")
    rng = np.random.default_rng(1)
    filters, bias = (builder.constant(rng.random(s, np.float32)) for s in ((4, 3, 3, 3), (4,)))
    y = builder.clamp(builder.conv2d(x, filters, bias=bias, padding=[1, 1, 1, 1], label="stem"), max_value=6)
    graph = builder.build({"y": y})
    graph.save(tmp_path / f"m{suffix}", weights=weights)
    loaded = load_webnn(tmp_path / f"m{suffix}", context)
    feeds = {"x": rng.random((1, 3, 8, 8), np.float32)}
    np.testing.assert_array_equal(context.compute(loaded, feeds)["y"], context.compute(graph, feeds)["y"])


def test_a_graph_without_a_context_brings_its_own(tmp_path: Path) -> None:
    graph = load_webnn(written(tmp_path, graph_text()))
    with graph.context as context:
        assert context.compute(graph, {"x": [-1, 2]})["y"].tolist() == [0, 2]


def test_an_unknown_kind_of_weights_is_refused(context: webnn.MLContext, tmp_path: Path) -> None:
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
    with pytest.raises(ValidationError, match="save: weights must be one of 'safetensors', 'blob', got 'zip'"):
        graph.save(tmp_path / "m.webnn", weights="zip")


@pytest.mark.parametrize(("weights", "name"), [("safetensors", "m.safetensors"), ("blob", "m.weights")])
@pytest.mark.parametrize("suffix", [".webnn", ".json", ".js"])
def test_a_new_graph_does_not_replace_the_weights_of_something_else(
    context: webnn.MLContext, tmp_path: Path, suffix: str, weights: str, name: str
) -> None:
    def graph(factor: float) -> webnn.MLGraph:
        builder = context.create_graph_builder()
        x = builder.input("x", [64], "float32")
        return builder.build({"y": builder.mul(x, builder.constant(np.full(64, factor, np.float32)))})

    options: dict[str, Any] = {} if suffix == ".js" else {"weights": weights}
    if suffix == ".js":
        name = "m.safetensors"
    file = tmp_path / f"m{suffix}"
    for content in (b"", b"the weights of another program"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileExistsError, match=rf"the weights of m\{suffix} would replace other ones.*{name}"):
            graph(1).save(file, **options)
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_bytes() == content
    (tmp_path / name).unlink()
    for factor in (1, 2):  # its own weights are replaced
        graph(factor).save(file, **options)
    other = tmp_path / ("m.json" if suffix == ".webnn" else "m.webnn")
    with pytest.raises(FileExistsError, match="would replace other ones"):
        graph(3).save(other, weights="safetensors" if suffix == ".js" else weights)
    graph(2).save(other, weights="safetensors" if suffix == ".js" else weights)  # several forms share their weights


# Files of others.


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"the examples of the format are not in {EXAMPLES}")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sample_graph.webnn", [[2, 2], [2, 2]]),
        ("sample_graph.json", [[2, 3], [4, 5]]),
        ("toy_transformer.webnn", [[2, 2, 2]]),
        ("toy_transformer.json", [[2.2, 2.6, 3.0]]),
    ],
)
def test_the_examples_of_the_format_run(context: webnn.MLContext, name: str, expected: list[list[float]]) -> None:
    graph = load_webnn(EXAMPLES / name, context)
    (result,) = context.compute(graph, {n: np.ones(d.shape, d.dtype) for n, d in graph.inputs.items()}).values()
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_comments_stand_between_any_two_tokens(tmp_path: Path) -> None:
    plain = graph_text("y = pad(x, beginningPadding=[1], endingPadding=[0], value=-1.5);")
    tokens = plain.replace("(", " ( ").replace(")", " ) ").replace(";", " ; ").replace("[", " [ ").replace("]", " ] ")
    commented = "# first\n" + "".join(f'{token} # }} " ( é\n' for token in tokens.split()) + "# last"
    assert load(written(tmp_path, commented)).structure_hash == load(written(tmp_path, plain)).structure_hash


def test_both_forms_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    for content in (graph_text(), json.dumps(document())):
        assert [node.op for node in load(written(tmp_path, f"\ufeff{content}")).nodes] == ["relu"]


@pytest.mark.parametrize("label", ["NaN", "Infinity", "null", "true", '"\\', "a\nb"])
def test_a_label_stays_what_it_is(tmp_path: Path, label: str) -> None:
    builder = host()
    graph = builder.build(
        {"y": builder.clamp(builder.input("x", [2], "float32"), min_value=-np.inf, max_value=2, label=label)}
    )
    round_trip(graph, tmp_path)


def test_a_label_that_is_no_text_is_refused(tmp_path: Path) -> None:
    builder = host()
    graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"), label="\ud800")})
    with pytest.raises(ValidationError, match=r"'\\ud800', half of a surrogate pair"):
        save_json(graph, tmp_path / "g.json")


def test_json_may_be_in_a_file_called_webnn(tmp_path: Path) -> None:
    text = json_of(parse_text(graph_text(), "g"))
    assert list(load(written(tmp_path, f"\n  {text}")).outputs) == ["y"]


@pytest.mark.parametrize(
    "statement",
    [
        "y = layerNormalization(x, scale=s, bias=b);",
        'y = layerNormalization(x, scale="s", bias="b");',
        "y = layerNormalization(x, s, b);",
        "y = layerNormalization(x, s, b, hasScale=true, hasBias=true);",
        "y = layerNormalization(%x, scale=%s, b);",
        "[y] = layerNormalization(x, bias=b, axes=null, s);",
    ],
)
def test_every_way_to_write_optional_operands_is_read(tmp_path: Path, statement: str) -> None:
    consts = "s: f32[2] @scalar(2); b: f32[2] @scalar(3);"
    node = load(written(tmp_path, graph_text(statement, "x: f32[3, 2];", consts).replace("%b", "b"))).nodes[0]
    assert [operand.constant[0] for operand in node.inputs() if operand.constant is not None] == [2, 3]


def test_flags_tell_which_optional_operand_is_given(tmp_path: Path) -> None:
    text = graph_text(
        "y = layerNormalization(x, b, hasScale=false, hasBias=true);", "x: f32[3, 2];", "b: f32[2] @scalar(3);"
    )
    assert list(load(written(tmp_path, text)).nodes[0].operands) == ["input", "bias"]


def test_a_number_refers_to_the_operand_that_its_writer_numbered_so(tmp_path: Path) -> None:
    text = graph_text(
        "y = layerNormalization(x, scale=7, bias=null);", "x: f32[3, 2];", "operand_7: f32[2] @scalar(3);"
    )
    assert list(load(written(tmp_path, text)).nodes[0].operands) == ["input", "scale"]
    with pytest.raises(DataError, match=r"g\.webnn:4:\d+: no input, constant or earlier node is called 'operand_8'"):
        load(written(tmp_path, text.replace("scale=7", "scale=8")))


def test_operators_of_earlier_drafts_are_read(tmp_path: Path) -> None:
    data = base64.b64encode(np.array([3, 4], "<f4").tobytes()).decode()
    nodes = (
        f'k = constant(data="{data}", dataType="float32", shape=[2]); p = globalAveragePool(x); m = globalMaxPool(p);'
        "s = squeeze(m, axes=[-1, 2]); u = unsqueeze(s, axes=[0, 3]); n = shape(u); i = identity(n); y = add(k, s);"
    )
    graph = load(written(tmp_path, graph_text(nodes, "x: f32[1, 2, 5, 5];", outputs="y; u; i;")))
    assert [(o.shape, o.data_type) for o in graph.outputs.values()] == [
        ((1, 2), "float32"),
        ((1, 1, 2, 1), "float32"),
        ((4,), "int64"),
    ]


def test_dynamic_dimensions_take_their_sizes_from_the_caller(tmp_path: Path) -> None:
    text = graph_text('y = reshape(x, newShape=[4, {name: "n", maxSize: 8}]);', 'x: f32[dyn("n", 8), 4];')
    path = written(tmp_path, text.replace("v1", "v2"))
    assert load(path, shapes={"n": 3}).outputs["y"].shape == (4, 3)
    with pytest.raises(ValidationError, match=r"shapes must have a size for 'n' \(at most 8\)"):
        load(path)
    with pytest.raises(ValidationError, match="'n' is at most 8, shapes has 9"):
        load(path, shapes={"n": 9})
    with pytest.raises(ValidationError, match="shapes has 'm', but no input has such a dimension"):
        load(path, shapes={"n": 1, "m": 1})


def test_integers_keep_all_their_digits(tmp_path: Path) -> None:
    text = graph_text("y = add(x, c);", "x: u64[];", "c: u64[] @scalar(18446744073709551615);")
    constant = load(written(tmp_path, text)).constants[0].constant
    assert constant is not None
    assert constant.item() == 2**64 - 1


# Weights.


def with_weights(folder: Path, declaration: str = "f32[2, 2]") -> Path:
    text = graph_text("y = matmul(x, w);", "x: f32[2, 2];", f"w: {declaration};")
    return written(folder, text)


def blob(folder: Path, rows: dict[str, tuple[int, int]], data: bytes, **more: Any) -> None:
    tensors = {key: {"byteOffset": begin, "byteLength": length} for key, (begin, length) in rows.items()}
    (folder / "g.manifest.json").write_text(json.dumps({"tensors": tensors, **more}))
    (folder / "g.weights").write_bytes(data)


def test_the_weights_beside_a_graph_are_found_in_the_order_of_the_format(tmp_path: Path) -> None:
    path = with_weights(tmp_path)
    for value, name in enumerate(["model.safetensors", "g.safetensors", "elsewhere.safetensors"]):
        save_safetensors(tmp_path / name, {"w": np.full((2, 2), value, np.float32)})
        options = {"weights": name} if name.startswith("else") else {}
        constant = load(path, **options).constants[0].constant
        assert constant is not None
        assert constant[0, 0] == value


@pytest.mark.parametrize("header", [b"", b"WGWT\1\0\0\0"])
def test_a_blob_is_read_with_and_without_a_header(tmp_path: Path, header: bytes) -> None:
    path = with_weights(tmp_path)
    data = np.arange(4, dtype="<f4").tobytes()
    blob(tmp_path, {"w": (len(header), 16)}, header + data, format="webnn-weights-manifest")
    constant = load(path).constants[0].constant
    assert constant is not None
    assert constant.tobytes() == data
    assert not constant.flags.owndata


def test_names_that_tools_have_rewritten_are_found(tmp_path: Path) -> None:
    text = graph_text("y = add(x, onnx__MatMul_0);", "x: f32[2];", "onnx__MatMul_0: f32[2];")
    path = written(tmp_path, text)
    save_safetensors(tmp_path / "g.safetensors", {"onnx::MatMul.0": np.ones(2, np.float32)})
    assert load(path).constants[0].shape == (2,)
    both = {"onnx::MatMul.0": np.ones(2, np.float32), "onnx__MatMul.0": np.ones(2, np.float32)}
    save_safetensors(tmp_path / "g.safetensors", both)
    with pytest.raises(DataError, match=r"the weight 'onnx__MatMul_0' could be 'onnx::MatMul\.0' or 'onnx__MatMul\.0'"):
        load(path)


def test_bfloat16_is_widened_for_a_float32_constant(tmp_path: Path) -> None:
    path = with_weights(tmp_path)
    save_safetensors(tmp_path / "g.safetensors", {"w": np.full((2, 2), 1.5, ml_dtypes.bfloat16)})
    constant = load(path).constants[0].constant
    assert constant is not None
    assert constant.tolist() == [[1.5, 1.5], [1.5, 1.5]]


@pytest.mark.parametrize(
    ("stored", "metadata", "message"),
    [
        (np.array([0x21, 3], np.uint8), {"rustnn.webnn.packed4": "1"}, None),
        (np.array([0x21, 3], np.uint8), {}, "needs the metadata rustnn.webnn.packed4 = '1', got None"),
        (np.array([0x21, 3], np.uint8), {"rustnn.webnn.packed4": "2"}, "= '1', got '2'"),
        (np.array([0x21], np.uint8), {"rustnn.webnn.packed4": "1"}, r"has uint8 \[1\], .* packed as uint8 \[2\]"),
        (np.array([0x21, 3], np.int8), {"rustnn.webnn.packed4": "1"}, r"has int8 \[2\], the graph has uint4 \[3\]"),
    ],
)
def test_four_bit_constants_need_the_marker(
    tmp_path: Path, stored: np.ndarray[Any, Any], metadata: dict[str, str], message: str | None
) -> None:
    nodes = "y = dequantizeLinear(w, s, z);"
    path = written(tmp_path, graph_text(nodes, "", "w: u4[3]; s: f32[1] @scalar(1); z: u4[1] @bytes([0]);"))
    save_safetensors(tmp_path / "g.safetensors", {"w": stored}, metadata)
    if message is not None:
        with pytest.raises(DataError, match=message):
            load(path)
    else:
        constant = load(path).constants[0].constant
        assert constant is not None
        assert constant.astype(int).tolist() == [1, 2, 3]


@pytest.mark.parametrize(("data", "length"), [(b"\x21\3", 2), (b"\1\2\3", 3)])
def test_four_bits_in_a_blob_take_a_byte_or_half_of_one(tmp_path: Path, data: bytes, length: int) -> None:
    consts = "w: u4[3]; s: f32[1] @scalar(1); z: u4[1] @bytes([0]);"
    path = written(tmp_path, graph_text("y = dequantizeLinear(w, s, z);", "", consts))
    blob(tmp_path, {"w": (0, length)}, data)
    constant = load(path).constants[0].constant
    assert constant is not None
    assert constant.astype(int).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("rows", "data", "more", "message"),
    [
        ({"w": (0, 16)}, b"1" * 15, {}, r"g\.weights: 'w' ends at byte 16, but the file has 15"),
        ({"w": (2**62, 2**62)}, b"1" * 16, {}, "'w' ends at byte 9223372036854775808, but the file has 16"),
        ({"w": (0, 16), "v": (15, 4)}, b"1" * 19, {}, "'v' at byte 15 overlaps 'w', which ends at 16"),
        ({"w": (0, 12)}, b"1" * 16, {}, r"'w': float32 \[2, 2\] takes 16 bytes, not 12"),
        ({"v": (0, 16)}, b"1" * 16, {}, "the weight 'w' is missing"),
        (
            {"w": (-1, 16)},
            b"1" * 16,
            {},
            r"g\.manifest\.json: tensors\.w\.byteOffset must be a number of bytes, got -1",
        ),
        ({"w": (8, 16)}, b"WGWT\2\0\0\0" + b"1" * 16, {}, "the blob's version must be 1, got 2"),
        ({"w": (0, 16)}, b"1" * 16, {"endianness": "big"}, "endianness must be 'little', got 'big'"),
        ({"w": (0, 16)}, b"1" * 16, {"tensors": []}, "expected an object with the key tensors"),
        ({}, b"", {"tensors": {"w": 1}}, "tensors.w.byteOffset must be a number"),
        (
            {},
            b"1" * 16,
            {"tensors": {"w": {"byteOffset": 0, "byteLength": 16, "dataType": "int32"}}},
            "'w': dataType is 'int32' in the manifest and float32 in the graph",
        ),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_key(
    tmp_path: Path, rows: dict[str, tuple[int, int]], data: bytes, more: dict[str, Any], message: str
) -> None:
    path = with_weights(tmp_path)
    blob(tmp_path, rows, data, **more)
    with pytest.raises(DataError, match=message):
        load(path)


def test_weights_that_are_missing_are_told(tmp_path: Path) -> None:
    path = with_weights(tmp_path)
    with pytest.raises(DataError, match=r"g\.webnn:3:\d+: the weight 'w' .* neither g\.safetensors nor g\.weights"):
        load(path)
    (tmp_path / "g.weights").write_bytes(b"")
    with pytest.raises(DataError, match=r"its manifest is missing, one of g\.manifest\.json, manifest\.json beside it"):
        load(path)
    save_safetensors(tmp_path / "g.safetensors", {"w": np.ones((4,), np.float32)})
    with pytest.raises(DataError, match=r"'w': the file has float32 \[4\], the graph has float32 \[2, 2\]"):
        load(path)


# What is wrong, and where.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"g\.webnn:1:1: expected webnn_graph \"name\" v1, got the end of the file"),
        ('webnn_graph "g" v0 {}', "1:17: expected version v1 or v2, got 'v0'"),
        ('webnn_graph "g" v3 {}', "1:17: expected version v1 or v2, got 'v3'"),
        ('webnn_graph "g" v1 {', "1:21: expected inputs, consts, nodes, outputs or '}', got the end"),
        ('webnn_graph "g v1 {', "1:13: a string without an end"),
        (graph_text() + "}", "6:2: expected the end of the file after the graph's '}', got '}'"),
        (graph_text(outputs=""), "the graph has no outputs"),
        (graph_text("y = relu(x)"), "4:21: expected ';', got '}'"),
        (graph_text("y = rleu(x);"), "4:9: unknown operator 'rleu' of 'y'"),
        (graph_text("y = reduce_mean(x);"), "4:9: unknown operator 'reduce_mean'"),
        (graph_text("y = add(x, w);"), "4:20: no input, constant or earlier node is called 'w'"),
        (graph_text("y = relu(y);"), "4:18: no input, constant or earlier node is called 'y'"),
        (graph_text(outputs="q;"), "5:11: no input, constant or earlier node is called 'q'"),
        (graph_text("y = relu(x); y = relu(x);"), "4:22: two nodes are called 'y'"),
        (graph_text("x = relu(x);"), "4:9: 'x' is defined twice"),
        (graph_text(inputs="x: f32[2]; x: f32[2];"), "2:21: the input 'x' appears twice"),
        (graph_text(consts="x: f32[2] @scalar(1);"), "3:10: 'x' is defined twice"),
        (graph_text(outputs="y, y;"), "5:14: the output 'y' appears twice"),
        (graph_text("y = relu(x, 3);"), "4:21: expected the name of an operand, or an option as name=value, got '3'"),
        (graph_text("y = relu(x, [1]);"), r"4:21: expected the name of an operand, .* got '\['"),
        (graph_text("y = relu(x,);"), r"4:20: expected another argument after ',', got '\)'"),
        (graph_text("y = relu(x, x);"), "4:9: 'y': relu takes input, got 2 operands"),
        (graph_text("y = relu();"), "4:9: 'y': relu takes input, got 0 operands"),
        (graph_text("y = relu(x, alpha=1);"), "4:27: relu has no option 'alpha'; it has: input, label"),
        (graph_text("y = softmax(x);"), "4:9: 'y': softmax: the option axis is missing"),
        (graph_text("y = softmax(x, axis=1);"), "4:9: 'y': softmax: axis 1 is out of range"),
        (graph_text("y = elu(x, alpha=1, alpha=2);"), "4:29: the option alpha is given twice"),
        (graph_text("y = conv2d(x, x, bias=true);"), "4:31: expected the name of an operand, got True"),
        (graph_text("y = conv2d(x, x, input=x);"), "4:32: conv2d has no option 'input'"),
        (graph_text("[y, z] = relu(x);"), "4:9: the node names 2 outputs, relu has 1"),
        (graph_text("y = squeeze(x, axes=[0]);"), r"axes \[0\] of \[2\] are not all of size 1"),
        (graph_text("y = unsqueeze(x, axes=[5]);"), r"axes must be integers of -2 to 1, got \[5\]"),
        (graph_text("y = constant(data=3);"), "4:9: 'y': constant: "),
        (graph_text(inputs="x: f33[2];"), "2:13: expected a data type, one of f32, .*, got 'f33'"),
        (graph_text(inputs="x: f32[-2];"), r"2:17: expected a size of 0 to 2\*\*32 - 1, got -2"),
        (graph_text(inputs="x: f32[99999999999];"), r"2:17: expected a size of 0 to 2\*\*32 - 1, got 99999999999"),
        (graph_text(inputs="x: f32[0];"), r"2:10: input 'x': shape \[0\]: dimension 0 is out of range"),
        (graph_text(inputs="x: i4[2];"), "2:10: input 'x': an input cannot be int4"),
        (graph_text(inputs='x: f32[dyn("n", 3)];'), "2:20: dynamic dimensions need version 2; the file has v1"),
        (graph_text(consts='c: f32[dyn("n", 3)];').replace("v1", "v2"), "3:13: a constant cannot have a dynamic"),
        (graph_text(consts="c: f32[2] @bytes([1, 2]);"), "3:10: .*expected 8 bytes for float32"),
        (graph_text(consts="c: f32[2] @bytes([256]);"), "3:20: @bytes takes integers of 0 to 255"),
        (graph_text(consts="c: f32[2] @bytes([1 2]);"), "3:30: expected ',', got '2'"),
        (graph_text(consts="c: f32[2] @bytes([1, # one\n -1]);"), "3:20: @bytes takes integers of 0 to 255"),
        (graph_text(consts="c: f32[2] @zeros(1);"), "3:20: expected @weights, @scalar or @bytes, got '@zeros'"),
        (graph_text(consts="c: u4[3] @bytes([1, 2, 3, 4]);"), r"uint4 \[3\] takes 2 bytes, or 3, not 4"),
        (graph_text(consts="c: u4[3] @bytes([1, 2, 16]);"), "the bytes of uint4 must be 0 to 15"),
        (graph_text(consts="c: f32[536870911] @scalar(1);"), "may take 268435456 bytes per file"),
        (graph_text(consts="c: f32[2, 2147483647] @scalar(1);"), "3:10: .*at most 2147483647 are supported"),
        (graph_text(consts="c: f32[1] @scalar(1e999);"), "3:28: the number 1e999 is too large"),
        (graph_text(f"y = elu(x, alpha={'9' * 5000});"), "4:26: a number of 5000 digits"),
        (graph_text("y = elu(x, a-b=1);"), "no token begins with '-'"),
        (graph_text(f"y = relu(x, label={'[' * 50});"), "nested more than 32 levels deep"),
        (graph_text(f"y = relu(x, label={'{a:' * 50});"), "nested more than 32 levels deep"),
        (graph_text('y = relu(x, label="a\0b\u202e", z=1);'), "relu has no option 'z'"),
        ("\N{COMBINING GRAVE ACCENT}", "1:1: no token begins with"),
    ],
)
def test_wrong_text_is_refused_with_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(written(tmp_path, text))


def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "g.webnn").write_bytes(b"# one\n# \xff\n")
    with pytest.raises(DataError, match=r"g\.webnn:2: not UTF-8"):
        load(tmp_path / "g.webnn")


def document(**changes: Any) -> dict[str, Any]:
    return {
        "format": "webnn-graph-json",
        "version": 1,
        "inputs": {"x": {"dataType": "float32", "shape": [2]}},
        "nodes": [{"id": "y", "op": "relu", "inputs": ["x"]}],
        "outputs": {"y": "y"},
        **changes,
    }


def constant(init: object, shape: list[Any] | None = None) -> dict[str, Any]:
    return {"consts": {"c": {"dataType": "float32", "shape": [1] if shape is None else shape, "init": init}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "webnn"}, "format must be 'webnn-graph-json', got 'webnn'"),
        ({"format": None}, "format must be 'webnn-graph-json', got None"),
        ({"version": 3}, "version must be 1 or 2, got 3"),
        ({"version": True}, "version must be 1 or 2, got True"),
        ({"name": 1}, "name must be a string, got 1"),
        ({"quantized": 1}, "quantized must be true or false, got 1"),
        ({"nodes": {}}, "nodes must be an array, got dict"),
        ({"outputs": {}}, "the graph has no outputs"),
        ({"outputs": []}, r"g\.json: outputs: expected an object, got \[\]"),
        ({"outputs": {"y": 1}}, r"outputs\.y: expected a name, got 1"),
        ({"outputs": {"y": "z"}}, r"outputs\.y: no input, constant or earlier node is called 'z'"),
        ({"inputs": {"x": 1}}, r"inputs\.x: expected an object, got 1"),
        ({"inputs": {"x": {"dataType": "f32", "shape": [2]}}}, r"inputs\.x: .*data type must be one of .*, got 'f32'"),
        ({"inputs": {"x": {"dataType": "float32", "shape": 2}}}, r"inputs\.x\.shape: expected an array, got 2"),
        ({"inputs": {"x": {"dataType": "float32", "shape": [-2]}}}, r"inputs\.x\.shape: expected sizes"),
        ({"inputs": {"x": {"dataType": "float32", "shape": [{"name": "n", "maxSize": 3}]}}}, "need version 2"),
        ({"nodes": [1]}, r"nodes\[0\]: expected an object, got 1"),
        ({"nodes": [{"id": "", "op": "relu"}]}, r"nodes\[0\]\.id: expected a name, got ''"),
        ({"nodes": [{"id": "y", "op": 3}]}, r"nodes\[0\]\.op: expected a name, got 3"),
        ({"nodes": [{"id": "y", "op": "relu", "inputs": "x"}]}, r"nodes\[0\]\.inputs: expected an array of names"),
        ({"nodes": [{"id": "y", "op": "relu", "inputs": [0]}]}, r"nodes\[0\]\.inputs\[0\]: expected a name, got 0"),
        ({"nodes": [{"id": "y", "op": "relu", "inputs": ["z"]}]}, r"nodes\[0\]\.inputs\[0\]: no input, .* called 'z'"),
        ({"nodes": [{"id": "y", "op": "nope", "inputs": ["x"]}]}, r"nodes\[0\]: unknown operator 'nope' of 'y'"),
        (
            {"nodes": [{"id": "y", "op": "elu", "inputs": ["x"], "options": {"a": 1}}]},
            r"nodes\[0\]\.options\.a: elu has no option 'a'",
        ),
        (
            {"nodes": [{"id": "y", "op": "reshape", "inputs": ["x"], "options": {"newShape": [{"name": "n"}]}}]},
            r"nodes\[0\]\.options\.newShape: no dynamic dimension of an input is called 'n'",
        ),
        (constant({"kind": "zeros"}), r"consts\.c\.init\.kind: expected weights, scalar or inlineBytes, got 'zeros'"),
        (constant(None), r"consts\.c\.init: expected an object, got None"),
        (constant({"kind": "scalar", "value": "1"}), r"consts\.c\.init\.value: expected a number, got '1'"),
        (
            constant({"kind": "inlineBytes", "bytes": [1, 256]}),
            r"consts\.c\.init\.bytes: expected an array of integers",
        ),
        (constant({"kind": "inlineBytes", "bytes": [1]}), r"consts\.c: .*expected 4 bytes"),
        (constant({"kind": "weights", "ref": ""}), r"consts\.c\.init\.ref: expected a name, got ''"),
        (constant({}, [{"name": "n", "maxSize": 3}]), r"consts\.c\.shape: a constant cannot have a dynamic dimension"),
    ],
)
def test_wrong_json_is_refused_with_the_key(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(written(tmp_path, json.dumps(document(**changes)), "g.json"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"layers": []}', r"g\.json: it is not a graph: such a file has a \"format\", 'webnn-graph-json'"),
        ('{"a": 1,\n "b" 2}', r"g\.json:2:6: not JSON: Expecting ':' delimiter"),
        ('{"a": 1, "a": 2}', r"g\.json: the key 'a' appears twice"),
        ('{"a": NaN}', "not JSON, which has no number NaN"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_or_no_graph_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(written(tmp_path, text, "g.json"))
