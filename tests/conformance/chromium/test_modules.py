"""Modules that `graph.save("app.js")` writes, as TypeScript's compiler sees them and as browsers run them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption

from tests.conformance.chromium.browser import FOLDER, WithLimits
from tests.conformance.chromium.graphs import RecordedDraft
from tests.conformance.chromium.tolerances import without_subnormals
from tests.direct import direct_builder, run_graph
from tests.property.calls import VALID, valid_call
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.browsers.chromium import Array, Chromium
from webnn.browsers.modules import BrowserGraph, RefusedError
from webnn.errors import OperationError, ValidationError
from webnn.formats.javascript.module import resource
from webnn.formats.javascript.page import save_html
from webnn.formats.javascript.saving import save_js
from webnn.graph.ir import Graph
from webnn.graph.naming import camel

COMPILER: Final = FOLDER / "node_modules" / ".bin" / "tsc"
OPTIONS: Final = (
    *("--strict", "--noEmit", "--pretty", "false", "--allowJs", "--checkJs"),
    *("--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"),
    *("--lib", "es2022,dom,dom.iterable"),
)
USE: Final = """
import { build, createContext, Model, run, inputs, type Descriptor, type Inputs, type Outputs } from "./%s.js";
export async function use(values: Inputs): Promise<Outputs> {
  const context: MLContext = await createContext({ powerPreference: "low-power" });
  const model = await Model.load({ context });
  const shapes: number[][] = Object.values<Descriptor>(inputs).map(({ shape }) => shape);
  console.log(shapes, await model.run(values, { checked: false }));
  model.destroy();
  (await build(context, new ArrayBuffer(0))).destroy();
  return run(values);
}
"""


EXAMPLES: Final = max(1, (settings.default or settings()).max_examples // 14)
"""Of every operator: one unless another profile is asked for."""
drawn = settings(max_examples=EXAMPLES, phases=(Phase.reuse, Phase.generate))


def drawn_graph(data: st.DataObject, op: str, backend: Backend) -> tuple[RecordedDraft, Graph]:
    """A graph of one operator, as a draft that has written its calls down."""
    for _ in range(5):
        draft = RecordedDraft(data, backend)
        try:
            results = valid_call(draft, op).on(draft.builder)
            return draft, draft.builder.build({f"output {i}": operand for i, operand in enumerate(results)})
        except ValidationError:  # drawn within the specification's limits, which are wider
            continue
    raise UnsatisfiedAssumption


@pytest.mark.skipif(not COMPILER.is_file(), reason=f"no {COMPILER}: `make chromium` installs it")
def test_the_compiler_accepts_every_operator_in_strict_mode(tmp_path: Path) -> None:
    for op in VALID:
        save_an_example_of(op, tmp_path)
    assert compiled(tmp_path) == ""


@pytest.mark.skipif(not COMPILER.is_file(), reason=f"no {COMPILER}: `make chromium` installs it")
def test_the_compiler_accepts_the_script_of_a_page(tmp_path: Path) -> None:
    builder = direct_builder()
    weights = builder.constant(np.ones(100, np.float32))
    page = tmp_path / "page.html"
    save_html(builder.build({"y": builder.mul(builder.input("x", (100,), "float32"), weights)}), page)
    script = page.read_text(encoding="utf-8").partition('<script type="module">')[2].partition("</script>")[0]
    assert "export async function build" in script
    assert "async function selfTest" in script
    (tmp_path / "page.js").write_text(script, encoding="utf-8")
    (tmp_path / "webnn.d.ts").write_text(resource("webnn.d.ts"), encoding="utf-8")
    assert compiled(tmp_path) == ""


@pytest.mark.skipif(not COMPILER.is_file(), reason=f"no {COMPILER}: `make chromium` installs it")
def test_the_compiler_refuses_a_wrong_use(tmp_path: Path) -> None:
    builder = direct_builder()
    save_js(builder.build({"y": builder.abs(builder.input("x", (2,), "float16"))}), tmp_path / "app.js")
    (tmp_path / "use.ts").write_text(
        'import { run } from "./app.js"; const y: string = (await run({ x: new Float32Array(2) })).y; export { y };'
    )
    errors = compiled(tmp_path)
    assert "Float32Array" in errors
    assert "not assignable to type 'string'" in errors


def save_an_example_of(op: str, folder: Path) -> None:
    @drawn
    @given(data=st.data())
    def save(data: st.DataObject) -> None:
        _, graph = drawn_graph(data, op, ArraysBackend())
        save_js(graph, folder / f"{op}.js")
        (folder / f"use_{op}.ts").write_text(USE % op)

    save()


def compiled(folder: Path) -> str:
    """The errors of TypeScript's compiler about every file in `folder`."""
    files = [str(path) for path in folder.iterdir() if path.suffix in (".js", ".ts")]
    done = subprocess.run([COMPILER, *OPTIONS, *files], check=False, capture_output=True, text=True, cwd=folder)
    return done.stdout + done.stderr


@pytest.mark.parametrize("op", VALID)
def test_a_module_gives_the_results_of_the_same_calls(op: str, chromium: Chromium) -> None:
    common = WithLimits(ArraysBackend().support_limits(), chromium.limits)

    @drawn
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        draft, graph = drawn_graph(data, op, common)
        answer = chromium.run(draft.recorder.request(graph, draft.feeds))
        if answer.outputs is None:
            with pytest.raises(RefusedError) as caught, BrowserGraph(chromium, graph):
                pass
            assert (caught.value.operator, caught.value.label) == (camel(op), graph.nodes[0].label)
            return
        with BrowserGraph(chromium, graph) as module:
            outputs = module.run({name: draft.feeds[name] for name in graph.inputs})
        assert outputs.keys() == answer.outputs.keys()
        for name, output in outputs.items():
            np.testing.assert_array_equal(output, answer.outputs[name])

    check()
    assert chromium.page.complaints == []


def test_names_and_numbers_of_every_kind_reach_the_browser(chromium: Chromium) -> None:
    builder = direct_builder()
    strange = '</script><!-- \\ " \u2028 `${x}` ü'
    x = builder.input(strange, (4,), "float32")
    clamped = builder.clamp(x, min_value=-np.inf, max_value=1.5, label=strange)
    scaled = builder.mul(clamped, builder.constant(np.array([0.1, np.nan, -np.inf, 1e-45], np.float32)), label="NaN")
    halves = builder.cast(builder.add(scaled, builder.constant(np.array(2.5, np.float32))), "float16")
    n = builder.input("class", (2,), "int64")
    counted = builder.add(n, builder.constant(np.array([2**62 + 1, -1], np.int64)))
    graph = builder.build({"1 result": scaled, "await": builder.add(halves, halves), "constant": counted})
    feeds: dict[str, Array] = {strange: np.array([1, 2, 3, 4], np.float32), "class": np.array([1, 2], np.int64)}
    with BrowserGraph(chromium, graph) as module:
        outputs = module.run(feeds)
    expected = run_graph(graph, feeds, ArraysBackend())
    assert list(outputs) == list(expected)
    for name, output in outputs.items():
        assert output.dtype == expected[name].dtype
        np.testing.assert_array_equal(without_subnormals(output), without_subnormals(expected[name]))


def test_an_operator_that_only_build_refuses_is_found(chromium: Chromium) -> None:
    builder = direct_builder()
    x = builder.input("x", (1, 1, 4, 4), "float32")
    first = builder.relu(x, label="before")
    wide = builder.pad(first, (0, 0, 1, 1), (0, 0, 1, 1), mode="edge", label="widen")
    graph = builder.build({"y": builder.neg(builder.abs(wide, label="after")), "z": builder.exp(first)})
    with pytest.raises(RefusedError, match=r"^\[widen\] pad: refused by this browser: ") as caught:
        BrowserGraph(chromium, graph)
    assert (caught.value.operator, caught.value.label) == ("pad", "widen")


def test_the_weights_of_another_module_are_refused(chromium: Chromium, tmp_path: Path) -> None:
    for value, name in ((1, "one"), (2, "two")):
        builder = direct_builder()
        many = builder.constant(np.full(100, value, np.float32))
        graph = builder.build({"y": builder.add(builder.input("x", (100,), "float32"), many)})
        save_js(graph, tmp_path / f"{name}.js")
    chromium.page.give_files("chosenFiles", [tmp_path / "one.js", tmp_path / "two.safetensors"])
    answer = chromium.page.value("loadModule({})")
    assert "the weights do not belong to this module" in answer["failed"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("{ x: new Float32Array(3) }", 'the input "x" must be float32 [2], 8 bytes, got 12 bytes'),
        ("{}", 'the input "x" must be float32 [2], 8 bytes, got nothing'),
        ("{ x: new Float32Array(2), w: 1 }", 'no input is called "w"; they are x'),
    ],
)
def test_wrong_inputs_are_refused_at_the_call(chromium: Chromium, values: str, said: str) -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.abs(builder.input("x", (2,), "float32"))})
    with BrowserGraph(chromium, graph), pytest.raises(OperationError) as caught:
        chromium.page.value(f"loaded.model.run({values})")
    assert said in str(caught.value)


def test_an_output_that_the_device_has_not_written_is_found_out(chromium: Chromium) -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.identity(builder.input("x", (2,), "uint8"))})
    with BrowserGraph(chromium, graph) as module:
        for happens_to_be_the_marker in (0xA5, 0x5A):
            x = np.full(2, happens_to_be_the_marker, np.uint8)
            np.testing.assert_array_equal(module.run({"x": x})["y"], x)
        chromium.page.value("loaded.context.dispatch = () => {}")
        with pytest.raises(OperationError, match="the device failed: it wrote nothing into the output y"):
            module.run({"x": x})


def test_runs_may_overlap(chromium: Chromium) -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.neg(builder.input("x", (1,), "float32"))})
    with BrowserGraph(chromium, graph):
        runs = "[1, 2, 3].map((x) => loaded.model.run({ x: new Float32Array([x]) }))"
        results = chromium.page.value(f"Promise.all({runs}).then((all) => all.map(({{ y }}) => y[0]))")
    assert results == [-1, -2, -3]
