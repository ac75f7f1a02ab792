"""`webnn cache`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

import webnn
from tests.command_line import answer
from webnn.cli.program import main


def test_the_cache_is_listed_and_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEBNN_CACHE_DIR", str(tmp_path / "cache"))
    assert answer(capsys, "cache", "list") == {"folder": str(tmp_path / "cache"), "bytes": 0, "entries": []}
    with webnn.ML().create_context() as context:
        for key in ("small", "net/[red]v1"):
            builder = context.create_graph_builder()
            graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
            context.save_graph(key, graph).result()
    entries = answer(capsys, "cache", "list")["entries"]
    assert [(entry["kind"], entry["key"]) for entry in entries] == [("graphs", "net/[red]v1"), ("graphs", "small")]
    assert all(entry["bytes"] > 0 for entry in entries)
    assert main(["cache", "list", "--dir", "cache"]) == 0
    assert re.search(r"graphs\s+net/\[red\]v1\s+\d+ B\s+20\d\d-", capsys.readouterr().out)
    assert (
        "cache is called 'absent'; the entries are: "
        in answer(capsys, "cache", "clear", "small", "absent", code=1)["error"]["message"]
    )
    assert answer(capsys, "cache", "clear", "small")["removed"] == ["small"]
    assert main(["cache", "clear"]) == 0
    assert "removed 1 entry, " in capsys.readouterr().out
    assert answer(capsys, "cache", "list")["entries"] == []


def test_compiled_graphs_are_listed_beside_the_saved_ones_and_in_a_folder_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = (tmp_path / "kept", tmp_path / "own")
    choices: list[dict[str, Any]] = [{"cache_dir": folders[0], "compiled_cache": True}, {"compiled_cache": folders[1]}]
    for size, options in zip((1237, 1238), choices, strict=True):  # no other test has these: nothing is found in memory
        with webnn.ML().create_context(backend="onnxruntime", **options) as context:
            builder = context.create_graph_builder()
            graph = builder.build({"y": builder.relu(builder.input("x", [size], "float32"))})
            context.compute(graph, {"x": np.ones(size, np.float32)})
            if "cache_dir" in options:
                context.save_graph("mine", graph).result()
    for folder, kinds in zip(folders, (["compiled", "graphs"], ["compiled"]), strict=True):
        entries = answer(capsys, "cache", "list", "--dir", str(folder))["entries"]
        assert [entry["kind"] for entry in entries] == kinds
        assert re.fullmatch("onnxruntime [0-9a-f]{64}", entries[0]["key"])
    assert main(["cache", "list", "--dir", str(folders[0])]) == 0
    assert "kept: 2 entries, " in capsys.readouterr().out
    assert main(["cache", "list", "--dir", str(folders[1])]) == 0
    assert "own: 1 entry, " in capsys.readouterr().out
    assert len(answer(capsys, "cache", "clear", "--dir", str(folders[1]))["removed"]) == 1
    assert list(folders[1].iterdir()) == []


def test_clearing_the_cache_touches_nothing_that_is_not_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "project" / "data").mkdir(parents=True)
    for name in ("settings.json", "data/values.json", "notes.txt"):
        (tmp_path / "project" / name).write_text("{}")
    assert answer(capsys, "cache", "clear", "--dir", str(tmp_path))["removed"] == []
    assert len([path for path in (tmp_path / "project").rglob("*") if path.is_file()]) == 3
