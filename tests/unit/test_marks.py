"""Weights of another save beside a graph file are noticed, in every format."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import webnn
from tests.direct import direct_builder
from webnn.backends import marks
from webnn.backends.onnx.export import save_onnx
from webnn.errors import DataError
from webnn.formats import import_onnx, import_webnn, save_safetensors
from webnn.formats.safetensors import load_safetensors
from webnn.formats.webnn_text.saving import save_json, save_webnn
from webnn.graph.ir import Graph

SIDE = 520
"""Enough for the weights of an ONNX model to lie in a file of their own."""

SAVES: dict[str, tuple[str, str, Callable[[Graph, Path], object]]] = {
    "onnx": ("m.onnx", "m.onnx.data", save_onnx),
    "text": ("m.webnn", "m.safetensors", save_webnn),
    "json": ("m.json", "m.safetensors", save_json),
    "text and blob": ("m.webnn", "m.weights", lambda graph, path: save_webnn(graph, path, weights="blob")),
    "json and blob": ("m.json", "m.weights", lambda graph, path: save_json(graph, path, weights="blob")),
}


def graph_of(number: float) -> Graph:
    builder = direct_builder()
    x = builder.input("x", [1, SIDE], "float32")
    return builder.build({"y": builder.matmul(x, builder.constant(np.full((SIDE, SIDE), number, np.float32)))})


def number_in(path: Path, **options: Any) -> float:
    """Of which graph the file is, or rather its weights."""
    builder = direct_builder()
    load: Any = import_onnx if path.suffix == ".onnx" else import_webnn
    (constant,) = builder.build(load(path, builder, **options)).constants
    assert constant.constant is not None
    return float(constant.constant.reshape(-1)[0])


@pytest.mark.parametrize("kind", SAVES)
def test_weights_of_another_save_are_noticed(tmp_path: Path, kind: str) -> None:
    name, weights, save = SAVES[kind]
    for folder, number in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        save(graph_of(number), tmp_path / folder / name)
        assert number_in(tmp_path / folder / name) == number
    os.replace(tmp_path / "two" / weights, tmp_path / "one" / weights)
    known = "m.manifest.json" if "blob" in kind else name  # the manifest is met before the graph
    message = rf"{re.escape(weights)} belongs to another save than {re.escape(known)}: its weights are [0-9a-f]{{32}}"
    with pytest.raises(DataError, match=message):
        number_in(tmp_path / "one" / name)
    if "blob" in kind:
        os.replace(tmp_path / "two" / known, tmp_path / "one" / known)
        with pytest.raises(DataError, match=rf"{re.escape(weights)} belongs to another save than {re.escape(name)}"):
            number_in(tmp_path / "one" / name)


@pytest.mark.parametrize("kind", SAVES)
def test_a_graph_of_another_save_is_noticed(tmp_path: Path, kind: str) -> None:
    name, _, save = SAVES[kind]
    save(graph_of(1), tmp_path / name)
    old = (tmp_path / name).read_bytes()
    save(graph_of(2), tmp_path / name)
    (tmp_path / name).write_bytes(old)
    with pytest.raises(DataError, match="belongs to another save than"):
        number_in(tmp_path / name)


@pytest.mark.parametrize("kind", SAVES)
def test_saving_one_graph_again_makes_the_same_files(tmp_path: Path, kind: str) -> None:
    name, _, save = SAVES[kind]
    files = []
    for _ in range(2):
        save(graph_of(1), tmp_path / name)
        files.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert files[0] == files[1]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.unit.test_marks import SAVES, graph_of
replace, calls = os.replace, []
def killed(*names):
    if len(calls) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    calls.append(names)
    replace(*names)
os.replace = killed
name, _, save = SAVES[sys.argv[1]]
save(graph_of(2), Path(sys.argv[2]) / name)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("kind", SAVES)
def test_a_save_that_is_killed_anywhere_leaves_the_old_graph_or_a_clear_error(tmp_path: Path, kind: str) -> None:
    name, _, save = SAVES[kind]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    save(graph_of(1), tmp_path / name)
    done = subprocess.run([sys.executable, "-c", KILLED, kind, str(tmp_path), "0"], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert number_in(tmp_path / name) == 1
    for reached in range(1, 3 if "blob" in kind else 2):
        save(graph_of(1), tmp_path / name)
        subprocess.run([sys.executable, "-c", KILLED, kind, str(tmp_path), str(reached)], env=environment, check=False)
        with pytest.raises(DataError, match="belongs to another save than"):
            number_in(tmp_path / name)
    save(graph_of(3), tmp_path / name)
    assert number_in(tmp_path / name) == 3
    assert not list(tmp_path.glob(".*"))  # what the killed ones left is gone


def test_a_weight_file_that_the_caller_names_is_taken(tmp_path: Path) -> None:
    save_webnn(graph_of(1), tmp_path / "one.webnn")
    save_webnn(graph_of(2), tmp_path / "two.webnn")
    os.replace(tmp_path / "two.safetensors", tmp_path / "one.safetensors")
    with pytest.raises(DataError, match=r"or say weights='one\.safetensors' to use these all the same$"):
        number_in(tmp_path / "one.webnn")
    assert number_in(tmp_path / "one.webnn", weights="one.safetensors") == 2


def test_another_kind_of_weights_left_from_an_earlier_save_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.webnn"
    save_webnn(graph_of(1), path)
    save_webnn(graph_of(2), path, weights="blob")
    assert number_in(path) == 2
    save_webnn(graph_of(3), path)
    assert number_in(path) == 3
    (tmp_path / "m.safetensors").write_bytes(b"damaged")  # what is passed over need not be whole
    save_webnn(graph_of(4), path, weights="blob")
    assert number_in(path) == 4


class TestWithoutMarks:
    """Files of other programs and of earlier versions."""

    def test_an_onnx_model_whose_mark_is_gone(self, tmp_path: Path) -> None:
        path = tmp_path / "m.onnx"
        save_onnx(graph_of(1), path)
        model = onnx.load(path, load_external_data=False)
        del model.metadata_props[:]
        onnx.save(model, path)
        assert number_in(path) == 1

    def test_an_onnx_model_that_another_program_has_written_anew(self, tmp_path: Path) -> None:
        path = tmp_path / "m.onnx"
        save_onnx(graph_of(1), path)
        model = onnx.load(path)
        model.graph.initializer[0].raw_data = np.full((SIDE, SIDE), 2, np.float32).tobytes()
        (tmp_path / "m.onnx.data").unlink()
        onnx.save(model, path, save_as_external_data=True, location="m.onnx.data", size_threshold=0)
        assert number_in(path) == 2

    @pytest.mark.parametrize("kind", ["text", "text and blob"])
    def test_a_text_file(self, tmp_path: Path, kind: str) -> None:
        name, _, save = SAVES[kind]
        save(graph_of(1), tmp_path / name)
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text("".join(line for line in text.splitlines(True) if marks.KEY not in line))
        assert number_in(tmp_path / name) == 1

    def test_a_json_file(self, tmp_path: Path) -> None:
        path = tmp_path / "m.json"
        save_json(graph_of(1), path)
        root = json.loads(path.read_text())
        assert re.fullmatch("[0-9a-f]{32}", root.pop(marks.KEY))
        path.write_text(json.dumps(root))
        assert number_in(path) == 1
        path.write_text(json.dumps({**root, marks.KEY: 3}))
        with pytest.raises(DataError, match=r"m\.json: webnn\.weights must be a string, got 3"):
            number_in(path)

    def test_safetensors_that_another_program_has_written_anew(self, tmp_path: Path) -> None:
        save_webnn(graph_of(1), tmp_path / "m.webnn")
        path = tmp_path / "m.safetensors"
        save_safetensors(path, {name: array * 2 for name, array in load_safetensors(path).items()})
        assert number_in(tmp_path / "m.webnn") == 2

    def test_a_blob(self, tmp_path: Path) -> None:
        save_webnn(graph_of(1), tmp_path / "m.webnn", weights="blob")
        manifest, blob = tmp_path / "m.manifest.json", tmp_path / "m.weights"
        root = json.loads(manifest.read_text())
        del root[marks.KEY]
        manifest.write_text(json.dumps(root))
        blob.write_bytes(blob.read_bytes()[: -marks.LENGTH])
        assert number_in(tmp_path / "m.webnn") == 1


def test_a_mark_in_a_string_is_no_mark(tmp_path: Path) -> None:
    path = tmp_path / "m.webnn"
    save_webnn(graph_of(1), path)
    text = path.read_text().replace('"m"', f'"a\n# {marks.KEY} {"0" * 32}\n"')
    path.write_text(text)
    assert number_in(path) == 1


def test_a_mark_is_read_from_the_end_of_a_file_and_from_nowhere_else() -> None:
    mark = "0123456789abcdef" * 2
    end = marks.trailer(mark)
    assert len(end) == marks.LENGTH
    for data, expected in (
        (end, mark),
        (b"\xff" * 100 + end, mark),
        (end + b"\0", None),
        (end[1:], None),
        (b"", None),
        (b"\n" * 100, None),
        (end.upper(), None),
    ):
        assert marks.trailing_mark(np.frombuffer(data, np.uint8)) == expected


def test_the_saved_graphs_of_a_context_notice_it_too(tmp_path: Path) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context:
        for number in (1, 2):
            builder = context.create_graph_builder()
            x = builder.input("x", [1, SIDE], "float32")
            weights = builder.constant(np.full((SIDE, SIDE), number, np.float32))
            context.save_graph(str(number), builder.build({"y": builder.matmul(x, weights)})).result()
        one, two = sorted((tmp_path / "graphs").glob("*/graph.safetensors"))
        one.write_bytes(two.read_bytes())
        with pytest.raises(DataError, match=r"'1' could not be trusted and was removed: .* belongs to another save"):
            context.load_graph("1")
        assert context.list_graphs().result() == ["2"]
