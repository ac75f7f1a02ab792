"""The page of `webnn view` in a real browser: what it shows, and what it does when it is clicked."""

from __future__ import annotations

import json
import os
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip("click")
pytest.importorskip("rich")

import webnn
from tests.browser import Browser, find_browser
from tests.direct import direct_builder
from tests.property.calls import VALID, valid_call
from tests.property.draft import Draft
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.cli.models import save_model
from webnn.cli.program import main
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand
from webnn.targets.checking import graph_of
from webnn.targets.fitting import fit
from webnn.view.views import view_of

SECONDS: Final = 3.0
"""Until a page of 2,000 nodes is there; this machine may be busy with other things, so that tests allow more."""
BUSY: Final = 3
MEGABYTES: Final = 3.0

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium here: apt-get install chromium")


def transformer(layers: int, named: bool = True) -> Graph:
    """A network of 51 operators to the layer, written out in small ones, and a mask that all layers read."""
    builder, generator = direct_builder(), np.random.default_rng(0)
    width, heads, length = 16, 2, 4

    def weight(*shape: int) -> MLOperand:
        return builder.constant(generator.standard_normal(shape, np.float32))

    def add(op: str, label: str, *args: Any, **options: Any) -> MLOperand:
        result: MLOperand = getattr(builder, op)(*args, **options, label=label if named else "")
        return result

    def linear(x: MLOperand, where: str, columns: int = width) -> MLOperand:
        product = add("matmul", f"{where}/MatMul", x, weight(x.shape[-1], columns))
        return add("add", f"{where}/Add", product, weight(columns))

    def normalized(x: MLOperand, where: str) -> MLOperand:
        mean = add("reduce_mean", f"{where}/ReduceMean", x, axes=[2], keep_dimensions=True)
        apart = add("sub", f"{where}/Sub", x, mean)
        square = add("mul", f"{where}/Mul", apart, apart)
        variance = add("reduce_mean", f"{where}/ReduceMean_1", square, axes=[2], keep_dimensions=True)
        deviation = add("sqrt", f"{where}/Sqrt", add("add", f"{where}/Add", variance, weight()))
        scaled = add("mul", f"{where}/Mul_1", add("div", f"{where}/Div", apart, deviation), weight(width))
        return add("add", f"{where}/Add_1", scaled, weight(width))

    def attended(x: MLOperand, mask: MLOperand, where: str) -> MLOperand:
        split = []
        for name in ("query", "key", "value"):
            rows = add(
                "reshape", f"{where}/{name}/Reshape", linear(x, f"{where}/{name}"), [1, length, heads, width // heads]
            )
            split.append(add("transpose", f"{where}/{name}/Transpose", rows, permutation=[0, 2, 1, 3]))
        query, key, value = split
        turned = add("transpose", f"{where}/Transpose", key, permutation=[0, 1, 3, 2])
        scores = add("div", f"{where}/Div", add("matmul", f"{where}/MatMul", query, turned), weight())
        shares = add("softmax", f"{where}/Softmax", add("add", f"{where}/Add", scores, mask), 3)
        mixed = add(
            "transpose",
            f"{where}/Transpose_1",
            add("matmul", f"{where}/MatMul_1", shares, value),
            permutation=[0, 2, 1, 3],
        )
        return linear(add("reshape", f"{where}/Reshape", mixed, [1, length, width]), f"{where}/output")

    x: MLOperand = builder.input("hidden", (1, length, width), "float32")
    mask = add("mul", "/Mul", builder.input("mask", (1, 1, 1, length), "float32"), weight())
    for i in range(layers):
        where = f"/encoder/layer.{i}"
        near = attended(normalized(x, f"{where}/norm"), mask, f"{where}/attention")
        x = add("add", f"{where}/Add", x, near)
        inner = linear(normalized(x, f"{where}/norm_1"), f"{where}/mlp/up", 2 * width)
        curve = add(
            "add",
            f"{where}/mlp/Add",
            add("erf", f"{where}/mlp/Erf", add("div", f"{where}/mlp/Div", inner, weight())),
            weight(),
        )
        active = add("mul", f"{where}/mlp/Mul_1", add("mul", f"{where}/mlp/Mul", inner, curve), weight())
        x = add("add", f"{where}/Add_1", x, linear(active, f"{where}/mlp/down"))
    return builder.build({"y": add("identity", "/Identity", x)})


@settings(
    max_examples=1,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def _every_operator(made: list[Graph], data: st.DataObject) -> None:
    draft = Draft(data, OnnxRuntimeBackend())
    outputs = [output for op in VALID for output in valid_call(draft, op).on(draft.builder)]
    made.append(draft.builder.build({f"out{i}": output for i, output in enumerate(outputs)}))


def every_operator() -> Graph:
    """One call of each operator of the specification."""
    made: list[Graph] = []
    _every_operator(made)
    return graph_of(made[0])


def tall() -> Graph:
    """Long blocks beside short ones."""
    builder = direct_builder()
    x = builder.input("x", (2,), "float32")
    sides = []
    for length in (4, 1, 20, 1):
        y: MLOperand = x
        for i in range(length):
            y = builder.add(builder.relu(y, label=f"side{length}/relu{i}"), y, label=f"side{length}/add{i}")
        sides.append(y)
    joined = [builder.concat([sides[i] for i in pair], 0) for pair in ((0, 1), (3, 2), (1, 3))]
    return builder.build({f"y{i}": each for i, each in enumerate(joined)})


def wide(label: str = "wide") -> Graph:
    """Something that Chromium refuses between what it takes."""
    builder = direct_builder()
    x = builder.input("x", (2, 1, 1, 1, 1, 1, 2), "float32")
    flat = builder.reshape(builder.add(x, x, label=label), [2, 2], label="flat")
    return builder.build({"y": builder.softmax(builder.relu(flat, label="act"), 1, label="out")})


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(find_browser() or "", tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of each page by its name, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("pages")

    def page(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            targets = ["chromium-153"] if name in ("refused", "refused-bare", "fitted") else []
            graphs = {
                "deep": lambda: [transformer(41)],
                "bare": lambda: [transformer(41, named=False)],
                "small": lambda: [transformer(2)],
                "every": lambda: [every_operator()],
                "tall": lambda: [tall()],
                "refused": lambda: [wide()],
                "refused-bare": lambda: [wide("")],
                "fitted": lambda: [wide(), fit(wide(), "chromium-153", verify=False).graph],
            }[name]()
            view_of([(f"{name} {i}", graph) for i, graph in enumerate(graphs)], targets).save(path)
        return path

    return page


@pytest.fixture
def opened(browser: Browser, pages: Callable[[str], Path]) -> Callable[..., Browser]:
    """Open the page of a name; there are no complaints of it, and it asks for nothing else."""

    def open_page(name: str, words: str = "", *, width: int = 1300, height: int = 850, dark: bool = False) -> Browser:
        browser.complaints.clear()
        browser.requests.clear()
        browser.resize(width, height, dark=dark)
        browser.open("about:blank")
        browser.open(pages(name).as_uri() + words)
        assert browser.complaints == []
        assert {each for each in browser.requests if not each.startswith(("data:", "about:"))} == {pages(name).as_uri()}
        return browser

    return open_page


@pytest.fixture(autouse=True)
def _no_complaints(browser: Browser) -> Iterator[None]:
    yield
    assert browser.complaints == []


OVERLAPS: Final = """(() => {
  const found = [];
  const sides = ({ X, Y, w, h }) => [X - w / 2, Y - h / 2, X + w / 2, Y + h / 2];
  const meet = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
  const visit = (block) => {
    const { children } = block;
    children.forEach((a, i) => children.slice(0, i).forEach((b) => {
      if (meet(sides(a), sides(b))) found.push(`${a.name} on ${b.name}`);
    }));
    for (const route of block.routes) {
      const { points, value, from, to } = route;
      if (points[0][1] > points.at(-1)[1]) found.push(`${value.name} goes up`);
      const path = svg("path", { d: curve(route, block.left, block.up, true) });
      const length = path.getTotalLength(), others = children.filter((child) => child !== from && child !== to);
      for (let at = 0; at <= length; at += Math.max(8, length / 300)) {
        const { x, y } = path.getPointAtLength(at);
        const crossed = others.find((child) => meet(sides(child), [x - 1, y - 1, x + 1, y + 1]));
        if (crossed) {
          found.push(`${value.name} crosses ${crossed.name}`);
          break;
        }
      }
    }
    const [left, top, right, bottom] = block.parent ? sides(block) : [0, 0, block.w, block.h];
    for (const [x0, y0, x1, y1] of children.map(sides))
      if (x0 < left || y0 < top || x1 > right || y1 > bottom) found.push(`outside of ${block.name}`);
    children.filter((child) => child.isBlock && child.open).forEach(visit);
  };
  graphs.forEach((graph) => visit(graph.root));
  return found;
})()"""
"""Boxes on others or outside of their frames, and lines that go up or through boxes."""

LOST: Final = """(() => {
  const found = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const side = (element) => element.getBoundingClientRect();
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const areas = all(".canvas, .map, #side, header");
  areas.forEach((a, i) => areas.slice(0, i).forEach((b) => {
    const names = [a, b].map((each) => each.id || each.className.baseVal || each.className || each.tagName);
    if (meet(side(a), side(b))) found.push(names.join(" on "));
  }));
  if (document.documentElement.scrollWidth > innerWidth) found.push("wider than the window");
  for (const each of all("header button, header input, header select"))
    if (side(each).width && side(each).right > innerWidth + 1) found.push(`${each.id} cut off`);
  return found;
})()"""
"""Parts of the page that cover each other, or are outside of the window."""


def shot(browser: Browser, name: str) -> None:
    """Keep a picture for whoever wants to look."""
    folder = os.environ.get("WEBNN_SCREENSHOTS")
    if folder:
        browser.screenshot(Path(folder) / f"{name}.png")


@pytest.mark.parametrize("name", ["deep", "bare"])
def test_two_thousand_nodes_are_there_in_three_seconds_and_three_megabytes(
    opened: Callable[..., Browser], pages: Callable[[str], Path], name: str
) -> None:
    assert pages(name).stat().st_size < MEGABYTES * 1e6
    started = time.perf_counter()
    page = opened(name)
    page.value("new Promise(requestAnimationFrame)")
    assert time.perf_counter() - started < SECONDS * BUSY
    assert page.value("graphs[0].operators.length") > 2000
    drawn = page.value("document.querySelectorAll('.box').length")
    assert 10 < drawn < 300
    assert page.value("document.querySelectorAll('.box.folded').length") > 10
    shot(page, name)
    page.value("byId('unfold').click()")
    assert page.value("document.querySelectorAll('.box').length") == page.value("graphs[0].boxes.length")
    assert page.value(OVERLAPS) == []


@pytest.mark.parametrize("name", ["small", "every", "tall", "fitted"])
@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_nothing_covers_anything_or_is_cut_off(opened: Callable[..., Browser], name: str, look: str) -> None:
    page = opened(name, width=390 if look == "phone" else 1300, dark=look == "dark")
    paper = page.value("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(22, 24, 28)" if look == "dark" else "rgb(251, 251, 250)")
    for change in ("", "byId('unfold').click()", "byId('fit').click()", "byId('toggle').click()"):
        page.value(change or "0")
        assert page.value(LOST) == [], change
        assert page.value(OVERLAPS) == [], change
    shot(page, f"{name}-{look}")


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Operators that read what was made before, far and near, under labels that nest."""
    builder = direct_builder()
    values = [builder.input(f"x{i}", (2,), "float32") for i in range(draw(st.integers(1, 3)))]
    labels = st.sampled_from(["", "a/x", "a/b/x", "a/b/c/x", "a/d/x", "e/x", "e/f/x", "whole", "thing"])
    for _ in range(draw(st.integers(5, 60))):
        near = values[-draw(st.integers(1, min(4, len(values))))]
        far = values[draw(st.integers(0, len(values) - 1))]
        label = draw(labels)
        if draw(st.booleans()):
            values.append(builder.add(near, far, label=label))
        else:
            values.append(draw(st.sampled_from([builder.relu, builder.exp, builder.neg]))(near, label=label))
    return builder.build({f"y{i}": value for i, value in enumerate(values[-draw(st.integers(1, 3)) :]) if value.node})


@settings(max_examples=15, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(graph=networks(), data=st.data())
def test_whatever_the_graph_nothing_is_covered_and_all_lines_go_down(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, graph: Graph, data: st.DataObject
) -> None:
    path = view_of([("random", graph)]).save(tmp_path_factory.mktemp("random") / "page.html")
    browser.resize(1300, 850)
    browser.open(path.as_uri())
    assert browser.value(OVERLAPS) == []
    browser.value("byId('unfold').click()")
    assert browser.value(OVERLAPS) == []
    if count := browser.value("graphs[0].blocks.length"):
        browser.value(f"fold(graphs[0].blocks[{data.draw(st.integers(0, count - 1))}])")
        assert browser.value(OVERLAPS) == []
        browser.value("byId('fold').click()")
        assert browser.value(OVERLAPS) == []


def test_what_is_covered_would_be_seen(opened: Callable[..., Browser]) -> None:
    page = opened("small")
    page.value("document.querySelector('.map').style.cssText = 'position: absolute; inset: 0'")
    assert "map on canvas" in page.value(LOST)
    place = """(() => {
      const { root } = graphs[0], { points, from, to } = root.routes[0];
      const other = root.children.find((child) => child !== from && child !== to);
      [other.X, other.Y, other.w, other.h] = [points[0][0], (points[0][1] + points.at(-1)[1]) / 2, 20, 4];
      return other.name;
    })()"""
    name = page.value(place)
    assert f" crosses {name}" in "".join(page.value(OVERLAPS))
    page.value("(([a, b]) => { a.X = b.X; a.Y = b.Y; })(graphs[0].root.children)")
    assert " on " in "".join(page.value(OVERLAPS))


RATIO: Final = """((element) => {
  const luminance = (colour) => {
    swatch.fillStyle = colour;
    swatch.fillRect(0, 0, 1, 1);
    const parts = [...swatch.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => part / 255);
    const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [paper, ink] = ["rect", "text"].map((tag) => luminance(getComputedStyle(element.querySelector(tag)).fill));
  return (Math.max(paper, ink) + 0.05) / (Math.min(paper, ink) + 0.05);
})"""
"""The contrast of a box's text, as the Web Content Accessibility Guidelines define it."""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("colour", ["family", "macs"])
def test_the_text_of_every_box_can_be_read(opened: Callable[..., Browser], colour: str, dark: bool) -> None:
    page = opened("every", f"#colour={colour}", dark=dark)
    assert page.value("colours.value") == colour
    assert page.value(f"Math.min(...[...document.querySelectorAll('.box')].map({RATIO}))") > 4.5


def test_the_map_shows_all_of_the_graph(opened: Callable[..., Browser]) -> None:
    page = opened("deep")
    page.value("new Promise(requestAnimationFrame).then(() => new Promise(requestAnimationFrame))")
    rows = page.value(
        "(({ width, height }) => {"
        "  const { data } = panes[0].map.getContext('2d').getImageData(0, 0, width, height);"
        "  const drawn = (y) => [...Array(width).keys()].some((x) => data[4 * (y * width + x) + 3] > 200);"
        "  const lines = [...Array(height).keys()].filter(drawn);"
        "  return [lines[0] / height, lines.at(-1) / height];"
        "})(panes[0].map)"
    )
    assert 0 < rows[0] < 0.1
    assert 0.9 < rows[1] < 1
    before = page.value("panes[0].top")
    x, y = page.middle(".map")
    page.click(x, y + 200)
    assert page.value("panes[0].top") < before - 100


def test_a_click_folds_and_unfolds_and_keys_do_too(opened: Callable[..., Browser]) -> None:
    page = opened("deep")
    layer = "graphs[0].blocks.find((block) => block.name === 'layer.3')"
    assert not page.value(f"{layer}.open")
    page.value(f"paneOf({layer}).centre({layer})")
    page.click(*page.middle(f"[data-block='{page.value(f'{layer}.number')}'] .toggle"))
    assert page.value(f"{layer}.open")
    assert page.value(OVERLAPS) == []
    page.value(f"choose({layer}, true)")
    told = page.value("document.getElementById('panel').textContent")
    assert "51 operators" not in told  # its frame has the name alone
    assert "matmul" in told
    page.key("Enter")
    assert not page.value(f"{layer}.open")
    assert page.value("document.querySelector('.box.selected').dataset.block") == str(page.value(f"{layer}.number"))
    page.key(" ")
    assert page.value(f"{layer}.open")
    page.value("document.querySelectorAll('#panel .faint .link')[1].click()")  # unfold all blocks like it
    assert page.value(f"graphs[0].blocks.filter((block) => block.alike === {layer}.alike && block.open).length") == 41


def test_typing_searches_and_enter_goes_from_match_to_match(opened: Callable[..., Browser]) -> None:
    page = opened("deep")
    page.key("/")
    page.type("layer.1 softmax")
    assert page.value("count.textContent") == "11 found"
    assert page.value("document.querySelectorAll('.box.folded.match').length") == 11
    page.key("Enter")
    page.key("Enter")
    assert page.value("count.textContent") == "2 of 11"
    assert page.value("document.querySelector('#panel .name').textContent") == "/encoder/layer.10/attention/Softmax"
    x, y = page.middle(".box.selected")
    assert 0 < x < page.value("innerWidth")
    assert 0 < y < page.value("innerHeight")
    assert "search=layer.1+softmax" in page.value("location.hash")
    page.value("byId('previous').click()")
    assert page.value("count.textContent") == "1 of 11"
    page.click(*page.middle("#search"))
    page.key("Escape")
    assert page.value("document.querySelectorAll('.box.match').length") == 0


def test_a_click_tells_about_a_node_and_its_constants(opened: Callable[..., Browser]) -> None:
    page = opened("small", "#search=op%3Amatmul")
    found = page.value("document.querySelector('[data-result]').dataset.result")
    page.click(*page.middle("[data-result]"))
    assert page.value("document.querySelector('.box.selected').dataset.node") == found
    told = page.value("document.getElementById('panel').textContent").replace(" B", "B")
    for part in (
        "matmul",
        "float32 [1, 4, 16]",
        "float32 [16, 16]",
        "constant, 1.02 kB",
        "min .. max",
        "read by",
        "multiply-adds1.02 k",
    ):
        assert part in told
    assert page.value("document.querySelectorAll('#panel .histogram i').length") == 24
    assert page.value("document.querySelectorAll('.lit path').length") > 0
    page.click(*page.middle("#panel .operand .link"))  # where its first operand comes from
    assert page.value("chosen.op") == "add"
    assert page.value("document.querySelector('#panel h2').textContent") == "addspecification"
    assert page.value("document.querySelector('#panel h2 a').href").startswith("https://www.w3.org/TR/webnn/#api-")
    page.key("ArrowUp")
    assert page.value("chosen.op") == "mul"
    assert page.value("document.querySelectorAll('.box.selected').length") == 1


def test_the_costs_are_sorted_coloured_and_choose_a_node(opened: Callable[..., Browser]) -> None:
    page = opened("small")
    page.value("[...byId('tabs').children].find((tab) => tab.textContent === 'Costs').click()")
    column = "[...document.querySelectorAll('tbody tr')].map((row) => row.children[2].textContent)"
    assert page.value("document.querySelector('th[aria-sort=descending]').textContent") == "multiply-adds ↓"
    assert page.value(f"{column}[0]") == "2.05 k"
    page.click(*page.middle("th[aria-sort=descending] button"))
    assert page.value("document.querySelector('th[aria-sort=ascending]').textContent") == "multiply-adds ↑"
    assert page.value(f"{column}.at(-1)") == "2.05 k"
    page.value("document.querySelectorAll('th button')[0].click()")
    names = page.value("[...document.querySelectorAll('tbody tr')].map((row) => row.children[0].textContent)")
    assert len(names) == page.value("graphs[0].operators.length")
    page.value("document.querySelectorAll('tbody tr')[5].click()")
    assert page.value("chosen.name") == names[5]
    assert page.value("document.querySelector('tr.chosen td').textContent") == names[5]
    page.value("colours.value = 'macs'; colours.onchange()")
    assert "colour=macs" in page.value("location.hash")
    fill = "getComputedStyle(document.querySelector(`.box[aria-label^=${op}] rect`)).fill"
    assert len(page.value(f"[...new Set(['matmul', 'erf'].map((op) => {fill}))]")) == 2
    assert page.value("byId('most').textContent") == "2.05 k"


def test_refused_nodes_are_marked_with_the_reason(opened: Callable[..., Browser]) -> None:
    page = opened("refused")
    assert page.value("document.querySelectorAll('.box .mark.refused').length") == 1
    assert "1 refused" in page.value("byId('figures').textContent")
    told = page.value("byId('panel').textContent")
    assert "refuses 1 of 4 operators" in told
    assert "has rank 7" in told
    page.click(*page.middle("#panel .finding .link"))
    assert "chromium-153-linux-litert refuses it" in page.value("byId('panel').textContent")
    assert "refused" in page.value("document.querySelector('.box.selected').getAttribute('aria-label')")


def test_an_operator_without_a_label_has_the_number_that_check_gives(opened: Callable[..., Browser]) -> None:
    page = opened("refused-bare")
    (where,) = {problem.where for problem in webnn.check(wide(""), "chromium-153").problems}
    page.click(*page.middle("#panel .finding .link"))
    assert where == "add (node 0)"
    assert "node 0" in page.value("byId('panel').textContent")
    assert page.value("graphs[0].boxes.filter((box) => !box.isEnd).map((box) => box.node)") == [0, 1, 2, 3]


def test_two_graphs_stand_beside_each_other_with_their_differences(opened: Callable[..., Browser]) -> None:
    page = opened("fitted")
    assert page.value("document.querySelectorAll('.pane').length") == 2
    assert page.value("document.querySelectorAll('.box.alone.second').length") > 0
    page.value("[...byId('tabs').children].find((tab) => tab.textContent === 'Differences').click()")
    assert "only in fitted 1" in page.value("byId('panel').textContent")
    page.value("choose(graphs[0].boxes.find((box) => box.op === 'softmax'), true)")
    assert page.value("panes[1].chosen.op") == "softmax"
    assert page.value("document.querySelectorAll('.box.selected').length") == 2


@pytest.mark.parametrize("name", ["small", "deep", "every"])
def test_the_drawing_is_saved_as_svg(opened: Callable[..., Browser], name: str) -> None:
    page = opened(name, dark=name == "every")
    root = ET.fromstring(page.value("exportedSvg(panes[0])"))
    space = "{http://www.w3.org/2000/svg}"
    texts = {text.text for text in root.iter(f"{space}text")}
    assert set(page.value("panes[0].visible.map((item) => cut(item.lines[0]))")) <= texts
    colours = {element.get("fill") for element in root.iter(f"{space}rect")}
    assert len(colours) > 1
    assert all(colour == "none" or (colour or "").startswith("#") for colour in colours)
    assert not [element for element in root.iter() if element.get("class") or element.get("style")]
    frames = page.value("document.querySelectorAll('.frames rect').length")
    translucent = [element for element in root.iter(f"{space}rect") if float(element.get("fill-opacity", 1)) < 0.1]
    assert len(translucent) == frames


def test_dragging_moves_and_the_wheel_zooms_around_the_pointer(opened: Callable[..., Browser]) -> None:
    page = opened("small")
    before = page.middle(".box")
    page.drag((200, 300), (260, 340))
    after = page.middle(".box")
    assert (after[0] - before[0], after[1] - before[1]) == pytest.approx((60, 40), abs=0.5)
    width = "document.querySelector('.box').getBoundingClientRect().width"
    narrow = page.value(width)
    page.scroll(*after, -300)
    page.wait_for(f"{width} > {narrow * 1.2}")
    assert page.middle(".box") == pytest.approx(after, abs=1)
    page.key("0")
    assert page.value("panes[0].graph.root.h * panes[0].scale") < page.value("panes[0].height")


def test_the_page_works_in_the_frame_of_a_notebook(browser: Browser, tmp_path: Path) -> None:
    with webnn.create_context(backend="arrays") as context:
        builder = context.create_graph_builder()
        x = builder.input("x", [2, 3], "float32")
        graph = builder.build({"y": builder.softmax(builder.relu(x), 1)})
        page = tmp_path / "notebook.html"
        page.write_text(f"<!doctype html>{graph._repr_html_()}{graph.view()._repr_html_()}", encoding="utf-8")
    browser.complaints.clear()
    browser.open(page.as_uri())
    browser.value("document.querySelectorAll('iframe').forEach((frame) => frame.scrollIntoView())")
    drawn = "[...document.querySelectorAll('iframe')].map((f) => f.contentDocument.querySelectorAll('.box').length)"
    browser.wait_for(f"{drawn}.join() === '4,4'")
    browser.value("document.querySelector('iframe').contentDocument.querySelector('.row').click()")
    assert (
        browser.value("document.querySelector('iframe').contentDocument.getElementById('count').textContent")
        == "1 found"
    )


def test_the_command_draws_svg_files_and_two_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_model(wide(), Path("wide.webnn"))
    program = find_browser() or ""
    assert main(["view", "wide.webnn", "wide.svg", "--browser", program, "--target", "chromium-153"]) == 0
    assert ET.parse("wide.svg").getroot().get("viewBox")
    assert "chromium-153-linux-litert refuses 1" in capsys.readouterr().out
    assert main(["view", "wide.webnn", "--target", "chromium-153", "--fit", "--profile", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["refused"] == {"chromium-153-linux-litert": 1}
    assert data["differ"] > 0
    assert main(["check", "wide.webnn", "--target", "chromium-153", "--fix", "fitted.webnn"]) == 0
    capsys.readouterr()
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main(["view", "wide.webnn", "fitted.webnn", "-o", "both.html", "--open", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differ"] == data["differ"]
    assert opened == [(tmp_path / "both.html").as_uri()]
    assert main(["view", "wide.webnn", "none.webnn"]) == 2
    assert "file 'none.webnn' does not exist" in capsys.readouterr().err
    assert main(["view", "wide.webnn", "a.svg", "-o", "b.svg"]) == 2
    assert "the page is a.svg or b.svg, not both" in capsys.readouterr().err
    assert main(["view", "wide.webnn", "--fit"]) == 2
    assert "give one --target to fit the model to" in capsys.readouterr().err
    assert main(["view", "wide.webnn", "-o", "no.svg", "--browser", "no-such-browser"]) == 1
    assert "'no-such-browser' is not a program" in capsys.readouterr().err
