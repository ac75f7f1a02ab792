"""The command line from outside: processes, real files, and the page of a trace in a real browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("click")
pytest.importorskip("rich")

from docs.run_examples import PAGES, stale
from tests.browser import Browser, find_browser
from tests.drafts import SUFFIX
from webnn.cli import models
from webnn.cli.program import main

ROOT: Final = Path(__file__).resolve().parents[2]


def webnn(*words: str, folder: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `python -m webnn` as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::ResourceWarning"}
    done = subprocess.run(
        [sys.executable, "-m", "webnn", *words],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=50,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file with an open batch dimension: convolution, relu, mean over the image."""
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["features"], name="stem", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features"], ["active"], name="stem/relu"),
        helper.make_node("GlobalAveragePool", ["active"], ["scores"], name="pool"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 4, 1, 1])
    graph = helper.make_graph(nodes, "network", [image], [scores], [numpy_helper.from_array(weight, "weight")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    onnx.save(model, path)
    return path


def test_info_of_an_onnx_file(network: Path) -> None:
    data = json.loads(webnn("info", network.name, "--shape", "batch=2", "--json", folder=network.parent).stdout)
    assert data["inputs"] == [{"name": "image", "data_type": "float32", "shape": [2, 3, 8, 8]}]
    assert data["parameters"] == 4 * 3 * 3 * 3
    assert data["multiply_adds"] == 2 * 4 * 8 * 8 * 3 * 3 * 3
    assert all(row["builds"] for row in data["support"])


def test_an_open_dimension_is_asked_for_in_the_words_of_the_command_line(network: Path) -> None:
    done = webnn("bench", network.name, folder=network.parent, code=1)
    assert "On the command line: --shape batch=..." in done.stderr
    assert "give --shape batch=SIZE" in webnn("info", network.name, folder=network.parent).stdout


def test_so_is_one_of_the_text_format(tmp_path: Path) -> None:
    text = """webnn_graph "open" v2 {
      inputs { x: f32[dyn("batch", 8), 2]; }
      nodes { y = relu(x); }
      outputs { y; }
    }"""
    (tmp_path / "open.webnn").write_text(text)
    assert "--shape batch=..." in webnn("bench", "open.webnn", folder=tmp_path, code=1).stderr
    assert "give --shape batch=SIZE" in webnn("info", "open.webnn", folder=tmp_path).stdout
    data = json.loads(webnn("info", "open.webnn", "--shape", "batch=3", "--json", folder=tmp_path).stdout)
    assert data["inputs"][0]["shape"] == [3, 2]
    done = webnn("info", "open.webnn", "--shape", "batch=3", "--constant", "x=1", folder=tmp_path, code=1)
    assert "constants do not apply to this kind of file" in done.stderr


def test_run_gives_what_onnxruntime_gives(network: Path, tmp_path: Path) -> None:
    import onnxruntime  # noqa: PLC0415

    image = np.random.default_rng(1).standard_normal((1, 3, 8, 8)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    words = ["--shape", "batch=1", "--input", "image=@image.npy", "--output", "scores=scores.npy"]
    webnn("run", str(network), *words, folder=tmp_path)
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"image": image})
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), expected, rtol=1e-4, atol=1e-6)


def test_bench_uses_the_same_file_for_the_peer(network: Path) -> None:
    words = ["--shape", "batch=1", "--seconds", "0.2", "--rounds", "3", "--json"]
    data = json.loads(webnn("bench", network.name, *words, folder=network.parent).stdout)
    assert data["peer"].endswith("on network.onnx")
    assert data["ratios"]["latency"]["median"] > 0


@pytest.mark.parametrize("suffix", [".onnx", ".webnn", ".json"])
def test_a_converted_model_gives_the_same_numbers(network: Path, tmp_path: Path, suffix: str) -> None:
    target = f"other{suffix}"
    webnn("convert", str(network), target, "--shape", "batch=1", folder=tmp_path)
    first = webnn("run", str(network), "--shape", "batch=1", "--random", "--json", folder=tmp_path)
    second = webnn("run", target, "--random", "--json", folder=tmp_path)
    values = [json.loads(done.stdout)["outputs"][0]["values"] for done in (first, second)]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)


@pytest.mark.parametrize("name", ["empty.onnx", "garbage.onnx", "garbage.webnn", "garbage.json", "cut.onnx"])
def test_a_file_that_is_no_model_is_one_line_and_no_traceback(network: Path, tmp_path: Path, name: str) -> None:
    content = {"empty": b"", "garbage": bytes(range(256)), "cut": network.read_bytes()[:200]}
    (tmp_path / name).write_bytes(content[name.partition(".")[0]])
    done = webnn("info", name, folder=tmp_path, code=1)
    assert done.stdout == ""
    assert done.stderr.startswith("webnn: ")


def test_output_that_nobody_reads_to_the_end_is_no_error(network: Path) -> None:
    command = f"{sys.executable} -m webnn info {network.name} --shape batch=1 --json | head -n 1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, shell=True, check=True, capture_output=True, text=True, cwd=network.parent, env=environment
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_a_terminal_that_lacks_characters_gets_others(network: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    command = [sys.executable, "-m", "webnn", "info", network.name, "--shape", "batch=1"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=network.parent, env=environment)
    assert "1?3?8?8" in done.stdout


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_answers_in_the_documentation_are_those_of_the_commands(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert not stale(page), "python -m docs.run_examples writes them anew"


def test_a_stale_answer_in_the_documentation_would_be_seen() -> None:
    page = PAGES[0].read_text(encoding="utf-8")
    block = re.search(r"^```console\n\$ webnn info .*?^```$", page, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert not stale(block[0])
    assert stale(block[0].replace("nodes ", "notes "))


def test_bash_completes(tmp_path: Path) -> None:
    environment = {"COMP_WORDS": "webnn chec", "COMP_CWORD": "1", "_WEBNN_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['webnn']; from webnn.cli import main; main()"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "plain,check\n"


# The page of a trace.


@pytest.fixture(scope="module")
def browser_program() -> str:
    program = find_browser()
    if program is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    return program


@pytest.fixture
def browser(browser_program: str, tmp_path: Path) -> Iterator[Browser]:
    with Browser(browser_program, tmp_path / "profile") as opened:
        yield opened


@pytest.fixture(scope="module")
def trace_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trace")
    (folder / f"perceptron{SUFFIX}").write_text("perceptron", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.READERS, SUFFIX, models.Reader("tests.drafts:read_draft", ("shapes",)))
        words = ["--runs", "30", "--cold", "--html", str(folder / "trace.html"), "--json"]
        assert main(["trace", str(folder / f"perceptron{SUFFIX}"), *words]) == 0
    return folder / "trace.html"


def open_trace(browser: Browser, page: Path) -> None:
    """Open the page of a trace. Its first frame, which lays the bars out, may come after the page has loaded."""
    browser.open(page.as_uri())
    browser.wait_for("width > 0")


def test_the_page_of_a_trace_shows_every_event_and_asks_for_nothing_else(browser: Browser, trace_page: Path) -> None:
    open_trace(browser, trace_page)
    assert browser.value("events.filter((e) => e.kind === 'task').length") == 30
    assert "30 done" in browser.value("document.getElementById('figures').textContent")
    assert browser.value("new Set(bars.map((bar) => bar.event.number)).size === events.length")
    coloured = "[...pen.getImageData(0, 0, canvas.width, canvas.height).data].filter((v, i) => i % 4 === 0 && v > 235)"
    browser.wait_for(f"canvas.width > 500 && {coloured}.length > 1000")
    panel = browser.value("document.getElementById('panel').textContent")
    assert "Where the time went" in panel
    assert "running" in panel
    assert {address for address in browser.requests if not address.startswith("data:")} == {trace_page.as_uri()}
    assert browser.complaints == []
    shot = os.environ.get("WEBNN_SCREENSHOTS")
    if shot:
        browser.screenshot(Path(shot) / "trace.png")


def test_a_click_on_the_page_of_a_trace_tells_about_an_event(browser: Browser, trace_page: Path) -> None:
    open_trace(browser, trace_page)
    place = "(() => { const bar = runBar.get(events.find((e) => e.kind === 'task').number);"
    place += " look(bar.began - 5 * (bar.ended - bar.began), bar.ended + 5 * (bar.ended - bar.began));"
    place += " const area = canvas.getBoundingClientRect();"
    place += " return [area.x + (x(bar.began) + x(bar.ended)) / 2, area.y + y(bar) + 8]; })()"
    at = browser.value(place)
    browser.click(*at)
    number = browser.value("canvas.dataset.selected")
    panel = browser.value("document.getElementById('panel').textContent")
    assert browser.value(f"byNumber.get({number}).kind") == "task"
    for part in ("took", "outcomedone", "waited for", "used by"):
        assert part in panel
    browser.click(*browser.middle("#panel .link"))
    assert browser.value("canvas.dataset.selected") != number
    browser.key("ArrowRight")
    browser.key("Escape")
    assert browser.value("canvas.dataset.selected") == ""
    assert browser.complaints == []


def test_the_page_of_a_trace_zooms_moves_and_fits(browser: Browser, trace_page: Path) -> None:
    open_trace(browser, trace_page)
    browser.key("0")
    span = browser.value("to - from")
    at = browser.middle("#canvas")
    under = browser.value(f"at({at[0]} - canvas.getBoundingClientRect().x)")
    browser.scroll(*at, -300)
    browser.wait_for(f"to - from < {span * 0.8}")
    assert browser.value(f"at({at[0]} - canvas.getBoundingClientRect().x)") == pytest.approx(under, rel=0.01)
    before = browser.value("from")
    browser.drag(at, (at[0] - 120, at[1]))
    assert browser.value("from") > before
    browser.key("0")
    assert browser.value("to - from") == pytest.approx(span)
    browser.click(*browser.middle("#arrows"))
    assert browser.value("document.getElementById('arrows').getAttribute('aria-pressed')") == "true"
    assert browser.complaints == []


def test_the_page_of_a_trace_is_dark_where_the_browser_is(
    browser_program: str, trace_page: Path, tmp_path: Path
) -> None:
    with Browser(browser_program, tmp_path / "dark", dark=True) as browser:
        open_trace(browser, trace_page)
        corner = "(draw(), [...pen.getImageData(0, canvas.height - 1, 1, 1).data.slice(0, 3)])"
        assert browser.value(corner) == [22, 24, 28]
        browser.click(*browser.middle("#theme"))
        assert browser.value(corner) == [251, 251, 250]
