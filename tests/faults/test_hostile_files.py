"""Files that lie: every reader answers with an error that says where, in bounded time and memory, or with a graph."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.direct import DirectHost
from webnn.backends.null import NullBackend
from webnn.errors import DataError, ValidationError
from webnn.formats.graph_folder import GraphFolder
from webnn.formats.safetensors import load_safetensors, save_safetensors
from webnn.formats.webnn_text import import_webnn
from webnn.formats.webnn_text.saving import save_json, save_webnn
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph

SECONDS: Final = 10.0
"""Far more than any of these takes, and far less than what would go on for ever."""
MEGABYTES: Final = 64
REFUSALS: Final = (DataError, ValidationError)


def host() -> MLGraphBuilder[Graph]:
    return MLGraphBuilder(DirectHost(NullBackend()))


def load(path: Path) -> Graph:
    builder = host()
    return builder.build(import_webnn(path, builder))


def example() -> Graph:
    builder = host()
    x = builder.input("x", [1, 2, 4, 4], "float32")
    weight = builder.constant(np.arange(36, dtype=np.float32).reshape(2, 2, 3, 3))
    y = builder.conv2d(x, weight, padding=[1, 1, 1, 1], bias=builder.constant(np.ones(2, np.float32)), label="a")
    first, second = builder.split(builder.relu(y), 2, axis=1)
    return builder.build(
        {"first": first, "sum": builder.add(first, builder.mul(second, builder.constant("float32", 2)))}
    )


@contextmanager
def bounded(megabytes: float = MEGABYTES) -> Iterator[None]:
    """Fail if the block takes long, or makes the process larger than it ever was by much."""
    before, started = getrusage(RUSAGE_SELF).ru_maxrss, time.perf_counter()
    yield
    assert time.perf_counter() - started < SECONDS
    assert (getrusage(RUSAGE_SELF).ru_maxrss - before) / 1024 < megabytes


Reader = Callable[[Path], object]


def safetensors(path: Path) -> object:
    return {name: array.sum() for name, array in load_safetensors(path).items()}


FILES: Final[dict[str, tuple[str, Reader]]] = {
    "text": ("text/m.webnn", load),
    "json": ("json/m.json", load),
    "tensors of text": ("text/m.safetensors", lambda path: load(path.with_suffix(".webnn"))),
    "blob": ("blob/m.weights", lambda path: load(path.with_suffix(".webnn"))),
    "manifest": ("blob/m.manifest.json", lambda path: load(path.with_name("m.webnn"))),
    "safetensors": ("text/m.safetensors", safetensors),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    for name in ("text", "json", "blob"):
        (folder / name).mkdir()
    save_webnn(example(), folder / "text" / "m.webnn")
    save_json(example(), folder / "json" / "m.json")
    save_webnn(example(), folder / "blob" / "m.webnn", weights="blob")
    return folder


@contextmanager
def content(path: Path, data: bytes) -> Iterator[None]:
    """`data` in the file for the time of the block."""
    before = path.read_bytes()
    path.unlink()  # what is mapped must not be changed
    path.write_bytes(data)
    try:
        yield
    finally:
        path.unlink()
        path.write_bytes(before)


def read(reader: Reader, path: Path) -> None:
    """It may succeed; it may not fail in any other way."""
    try:
        reader(path)
    except REFUSALS as error:
        if not 10 < len(str(error)) < 2000:
            pytest.fail(f"a message of {len(str(error))} characters")


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_cut_off_anywhere_is_refused(good: Path, kind: str) -> None:
    name, reader = FILES[kind]
    path = good / name
    data = path.read_bytes()
    reader(path)
    ends = {*range(min(len(data.rstrip()), 300)), *range(0, len(data.rstrip()), 17)}
    for end in sorted(ends):
        with content(path, data[:end]), pytest.raises(DataError):
            reader(path)


@pytest.mark.parametrize("kind", FILES)
@given(data=st.data())
def test_changed_bytes_are_refused_or_harmless(good: Path, kind: str, data: st.DataObject) -> None:
    name, reader = FILES[kind]
    path = good / name
    changed = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(changed) - 1))
        new = data.draw(
            st.one_of(st.sampled_from([b"", b"\0", b'"', b"{", b"[", b"-", b"9" * 30]), st.binary(max_size=3))
        )
        changed[at : at + data.draw(st.integers(0, 3))] = new
    with content(path, bytes(changed)):
        read(reader, path)


@pytest.mark.parametrize("kind", FILES)
@given(junk=st.binary(max_size=200))
def test_junk_is_refused(good: Path, kind: str, junk: bytes) -> None:
    name, reader = FILES[kind]
    with content(good / name, junk), pytest.raises(DataError):
        reader(good / name)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(root: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON document."""
    yield path
    items = root.items() if isinstance(root, dict) else enumerate(root) if isinstance(root, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


@pytest.mark.parametrize("kind", ["json", "manifest"])
@given(data=st.data())
def test_any_value_at_any_place_is_refused_or_harmless(good: Path, kind: str, data: st.DataObject) -> None:
    name, reader = FILES[kind]
    root = {"root": json.loads((good / name).read_bytes())}
    way = ("root", *data.draw(st.sampled_from(list(places(root["root"])))))
    target: Any = root
    for key in way[:-1]:
        target = target[key]
    target[way[-1]] = data.draw(values | st.sampled_from(["x", "y", "first", "conv2d", "label", 2**31, [2**31] * 3]))
    with content(good / name, json.dumps(root["root"]).encode()):
        read(reader, good / name)


header_values = st.one_of(
    values, st.sampled_from([[0, 4], [4, 0], [2**62, 2**63], [0] * 70, "F32", "BF16", [2**31, 2**31]])
)


@given(
    rows=st.dictionaries(
        st.text(max_size=4) | st.just("__metadata__"),
        st.fixed_dictionaries({"dtype": header_values, "shape": header_values, "data_offsets": header_values}) | values,
        max_size=4,
    ),
    size=st.integers(0, 16),
)
def test_any_header_of_safetensors_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, Any], size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "h.safetensors"
    text = json.dumps(rows).encode()
    path.unlink(missing_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * size)
    read(safetensors, path)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 1_000_000,
        "[" * 1_000_000,
        'webnn_graph "g" v1 {' * 100_000,
        'webnn_graph "g" v1 { nodes { y = relu(x, label=' + "[" * 1_000_000,
        'webnn_graph "g" v1 { nodes { y = relu(x, label=' + "{a:" * 1_000_000,
        'webnn_graph "g" v1 { consts { c: u8[4] @bytes([' + "1," * 200_000,
        'webnn_graph "g" v1 { consts { c: u8[4] @bytes([' + "1," * 5_000_000 + "1]); } }",
        'webnn_graph "g" v1 { consts { c: f32[2147483647] @scalar(1); } }',
        'webnn_graph "g" v1 { consts {' + "c{0}: f32[16777216] @scalar(1);" * 10 + "} }",
        'webnn_graph "g" v1 { inputs { x: f32[' + "1, " * 300_000 + "1]; } }",
        'webnn_graph "g" v1 { inputs { x: f32[' + "9" * 300_000 + "]; } }",
        'webnn_graph "g" v1 { consts { c: f32[] @scalar(' + "9" * 300_000 + "); } }",
        'webnn_graph "' + "\\" * 1_000_001,
        "#" * 1_000_000,
        "\n" * 1_000_000 + "x",
        '{"format": "webnn-graph-json", "version": ' + "1" * 1_000_000 + "}",
        '{"inputs": ' + '{"a": ' * 100_000 + "1" + "}" * 100_000 + "}",
    ],
    ids=range(17),
)
def test_deep_and_endless_graph_files_are_refused_within_bounds(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.webnn"
    path.write_text(text)
    with bounded(), pytest.raises(DataError):
        load(path)


def test_fillings_are_bounded_all_together(tmp_path: Path) -> None:
    constants = "".join(f"c{i}: f32[16777216] @scalar(1);" for i in range(10))
    path = tmp_path / "m.webnn"
    path.write_text(f'webnn_graph "g" v1 {{ consts {{ {constants} }} outputs {{ c1; }} }}')
    with bounded(300), pytest.raises(DataError, match="constants filled with one value may take 268435456 bytes"):
        load(path)


def test_a_graph_file_that_is_too_large_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "m.webnn"
    with open(path, "wb") as file:
        file.truncate(10 * 1024**3)  # takes no room on the disk
    with bounded(80), pytest.raises(DataError, match="a graph file may have 67108864 bytes, this has more"):
        load(path)


def test_a_safetensors_header_that_is_too_large_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with open(path, "wb") as file:
        file.write((2**33).to_bytes(8, "little"))
        file.truncate(2**34)
    with (
        bounded(1),
        pytest.raises(DataError, match="the header claims 8589934592 bytes, at most 33554432 are supported"),
    ):
        load_safetensors(path)


def test_a_huge_tensor_costs_nothing_until_it_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    size = 2**34
    text = json.dumps({"w": {"dtype": "F32", "shape": [2**16, 2**16], "data_offsets": [0, size]}}).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + size)
    with bounded(1):
        array = load_safetensors(path)["w"]
        assert array.shape == (2**16, 2**16)
    with pytest.raises(ValidationError, match=r"takes 17179869184 bytes; at most 2147483647|has 4294967296 elements"):
        host().constant(array)


def test_references_between_weights_and_files_reach_no_other_file(tmp_path: Path) -> None:
    """Keys are looked up inside the one weight file; they are never paths."""
    (tmp_path / "secret").write_bytes(b"1234")
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "m.webnn"
    for key in ("../secret", str(tmp_path / "secret"), "file:///etc/passwd"):
        path.write_text(f'webnn_graph "g" v1 {{ consts {{ c: u8[4] @weights("{key}"); }} outputs {{ c; }} }}')
        save_safetensors(tmp_path / "model" / "m.safetensors", {"other": np.ones(4, np.uint8)})
        with pytest.raises(DataError, match=r"the weight '.* is missing"):
            load(path)


def test_a_long_chain_of_nodes_is_no_problem(tmp_path: Path) -> None:
    nodes = "".join(f"v{i + 1} = relu(v{i});" for i in range(5000))
    path = tmp_path / "m.webnn"
    path.write_text(f'webnn_graph "g" v1 {{ inputs {{ v0: f32[2]; }} nodes {{ {nodes} }} outputs {{ v5000; }} }}')
    assert len(load(path).nodes) == 5000


@given(data=st.data())
def test_a_saved_graph_that_was_changed_is_never_used(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("saved")
    store = GraphFolder(folder)
    store.save("mine", example())
    kind = data.draw(st.sampled_from(["*.json", "*/graph.json", "*/graph.safetensors"]))
    (path,) = folder.glob(kind)
    changed = bytearray(path.read_bytes())
    at = int(data.draw(st.floats(0, 1, exclude_max=True)) * len(changed))
    if data.draw(st.booleans()):
        changed[at] ^= data.draw(st.integers(1, 255))
    else:
        del changed[at:]
    path.write_bytes(changed)
    with pytest.raises(DataError, match="'mine' could not be trusted and was removed"):
        store.load("mine", DirectHost()).check()
    assert store.keys() == []
