"""The commands, called as the console script calls them, on graphs that are built here."""

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
import onnx.numpy_helper
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

import webnn
from tests.drafts import SUFFIX
from tests.scripted import double, filled
from tests.trace_format import problems
from webnn.cli import main as entry
from webnn.cli import models
from webnn.cli.output import counted
from webnn.cli.program import COMMANDS, main
from webnn.cli.tracing import summary
from webnn.formats.safetensors import save_safetensors


@pytest.fixture(autouse=True)
def drafts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reader of drafts; the current folder is a new one."""
    monkeypatch.setitem(models.READERS, SUFFIX, models.Reader("tests.drafts:read_draft", ("shapes",)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def draft(tmp_path: Path) -> Callable[[str], str]:
    def write(name: str) -> str:
        (tmp_path / f"{name}{SUFFIX}").write_text(name, encoding="utf-8")
        return f"{name}{SUFFIX}"

    return write


def answer(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """What a command says in JSON."""
    assert main([*words, "--json"]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


# Help, errors, exit codes.


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "--json" in text or command == "cache"  # whose own commands have it
    assert f"webnn {command}" in text


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"webnn \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inf"], "No such command 'inf'. Did you mean info?"),
        (["info"], "Missing argument 'MODEL'"),
        (["info", "nowhere.onnx"], "File 'nowhere.onnx' does not exist"),
        (["info", "."], "'.' is a directory"),
        (["info", "x.draft", "--shape", "batch"], "expected NAME=SIZE or NAME=SIZE,SIZE,..., got 'batch'"),
        (["info", "x.draft", "--shape", "batch=big"], "got 'batch=big'"),
        (["info", "x.draft", "--constant", "sr"], "expected NAME=VALUE, got 'sr'"),
        (["info", "x.draft", "--shape", "n=1", "--shape", "n=2"], "Invalid value for --shape: 'n' is given twice"),
        (["run", "x.draft", "--constant", "n=1", "--constant", "n=1"], "--constant: 'n' is given twice; give it once"),
        (["convert", "x.draft", "y.onnx", "--rename", "x=a", "--rename", "x=b"], "--rename: 'x' is given twice"),
        (["bench", "x.draft", "--rounds", "0"], "0 is not in the range x>=1"),
        (["run", "x.draft", "--seed", "-1"], "-1 is not in the range x>=0"),
        (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_a_wrong_command_line_is_two(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.draft").write_text("perceptron")
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert main([*words, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "UsageError"
    assert message in error["message"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"", "cannot read this kind of file, only .onnx"),
        ("x.safetensors", b"", "it holds weights, not a graph"),
        ("x.pt", b"", "torch.onnx.export"),
    ],
)
def test_a_file_of_another_kind_is_told_from_a_model(
    name: str, content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert main(["info", name]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"webnn: {name}: ")
    assert message in captured.err
    assert answer(capsys, "info", name, code=1)["error"]["kind"] == "NotSupportedError"


def test_no_bytes_of_a_file_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "\x1b[31mred.txt").write_bytes(b"")
    assert main(["info", "\x1b[31mred.txt"]) == 1
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="there Ctrl-C goes to the test as well")
def test_interrupts_end_a_command_with_one_line_however_long_its_threads_work_on(tmp_path: Path) -> None:
    """The second comes while the first one ends the command."""
    (tmp_path / "interrupted.py").write_text(
        "import atexit, os, signal, sys, webnn.cli.program\n"
        "def main():\n"
        "    atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "webnn.cli.program.program.main = lambda *_, **__: main()\n"
        "sys.exit(webnn.cli.main())\n"
    )
    folder = Path(__file__).resolve().parents[2]
    command = [sys.executable, str(tmp_path / "interrupted.py")]
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(folder)}
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "webnn: interrupted\n")


@pytest.mark.skipif(os.name == "nt", reason="there Ctrl-C goes to the test as well")
@pytest.mark.parametrize(
    ("program", "traceback"), [("/bin/webnn", False), ("-m", False), ("/home/me/program.py", True)]
)
def test_interrupts_of_the_first_import_end_the_command_without_a_traceback(program: str, traceback: bool) -> None:
    code = (
        "import os, signal, sys\n"
        f"sys.argv = [{program!r}]\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'webnn.graph.builder':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "{}"
        "import webnn\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    for inserted in ("", "sys.meta_path.insert(0, Interrupting())\n"):
        ended = subprocess.run(
            [sys.executable, "-c", code.format(inserted)], check=False, capture_output=True, text=True, env=environment
        )
        assert ended.returncode == (-signal.SIGINT if inserted else 0)
        assert ("Traceback" in ended.stderr) is (traceback and bool(inserted))


def test_an_error_that_nobody_has_thought_of_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("one by none")

    monkeypatch.setattr("webnn.cli.commands.devices.available_backends", fail)
    assert main(["devices"]) == 1
    assert capsys.readouterr().err.startswith("webnn: ZeroDivisionError: one by none\nThis is a defect of webnn.")
    assert answer(capsys, "devices", code=1)["error"]["kind"] == "ZeroDivisionError"
    monkeypatch.setenv("WEBNN_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(["devices"])


def test_without_the_extra_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("webnn.cli.NEEDS", ("click", "no_such_package"))
    assert entry() == 1
    assert "pip install 'webnn-runtime[cli]'" in capsys.readouterr().err


def test_importing_the_package_loads_nothing_of_the_command_line() -> None:
    script = "import sys, webnn; print([m for m in ('click', 'rich', 'webnn.cli') if m in sys.modules])"
    folder = Path(__file__).resolve().parents[2]
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=folder)
    assert printed.stdout == "[]\n"


# info.


def test_info_counts_what_is_in_a_model(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    data = answer(capsys, "info", draft("perceptron"), "--shape", "batch=5")
    assert data["inputs"] == [{"name": "x", "data_type": "float32", "shape": [5, 3]}]
    assert [row["name"] for row in data["outputs"]] == ["y", "total"]
    assert data["nodes"] == 3
    assert data["parameters"] == 12
    assert data["constant_bytes"] == 48
    assert data["multiply_adds"] == 5 * 3 * 4
    assert {row["operator"]: row["count"] for row in data["operators"]} == {"matmul": 1, "relu": 1, "reduce_sum": 1}
    builds = {row["target"]: row["builds"] for row in data["support"]}
    assert builds["onnxruntime"]
    assert builds["chromium-147-linux-litert"]


GRAPH = 'webnn_graph "g" v2 { inputs { x: f32[dyn("n", 8), 4]; } nodes { y = relu(x); } outputs { y; } }'


def onnx_with_open_dimensions() -> bytes:
    given = [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [name, 4]) for name in ("n", "?")]
    given[1].name = "other"
    nodes = [onnx.helper.make_node("Add", ["x", "w"], ["s"]), onnx.helper.make_node("Add", ["s", "other"], ["y"])]
    weights = [onnx.numpy_helper.from_array(np.ones((2, 4), np.float32), "w")]
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    return bytes(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", given, [y], weights)).SerializeToString())


@pytest.mark.parametrize(
    ("name", "content", "parameters", "needed"),
    [("m.webnn", GRAPH.encode(), 0, []), ("m.onnx", onnx_with_open_dimensions(), 8, ["--shape other=SIZE,..."])],
    ids=["webnn", "onnx"],
)
def test_info_says_what_it_can_while_dimensions_are_open_and_what_it_needs(
    name: str, content: bytes, parameters: int, needed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).write_bytes(content)
    data = answer(capsys, "info", name)
    assert data["inputs"][0] == {"name": "x", "data_type": "float32", "shape": ["n", 4]}
    assert [row["name"] for row in data["outputs"]] == ["y"]
    assert data["nodes"] == data["operators"][0]["count"]
    assert data["parameters"] == parameters
    assert data["open"] == ["--shape n=SIZE", *needed]
    assert main(["info", name]) == 0
    assert f"give {' '.join(data['open'])}" in capsys.readouterr().out
    sizes = ["--shape", "n=2", *(["--shape", "other=2,4"] if needed else [])]
    assert answer(capsys, "info", name, *sizes)["inputs"][0]["shape"] == [2, 4]
    answer(capsys, "info", name, "--shape", "m=2", code=1)


def test_info_for_people_has_the_same_figures(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", draft("wide")]) == 0
    text = capsys.readouterr().out
    assert re.search(r"input\s+x\s+float32\s+[^ ]{12}2", text)
    assert re.search(r"chromium-147-linux-litert\s+no\s+", text)
    assert re.search(r"onnxruntime\s+yes", text)


def test_a_name_that_is_no_text_does_no_harm(
    draft: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"\xff\xe9.draft")
    try:
        (tmp_path / draft("perceptron")).rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system has no such names")
    assert answer(capsys, "info", name)["model"] == name
    assert main(["info", name]) == 0
    assert main(["view", name, "-o", "page.html"]) == 0


# check.


def test_check_says_which_node_for_which_rank_and_type(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    data = answer(capsys, "check", draft("wide"), "--target", "chromium-147", code=1)
    (verdict,) = data["targets"]
    assert not data["builds"]
    assert (verdict["target"], verdict["nodes"], verdict["nodes_refused"]) == ("chromium-147-linux-litert", 2, 2)
    messages = [problem["message"] for problem in verdict["problems"]]
    assert "[wide] add: a [1, 1, 1, 1, 1, 1, 2] has rank 7; chromium-147-linux-litert takes rank 0 to 6" in messages
    assert any(
        message.startswith("mul (node 1): a is uint8; chromium-147-linux-litert takes float32") for message in messages
    )
    assert {problem["kind"] for problem in verdict["problems"]} == {"rank", "type"}


def test_check_is_zero_where_everything_builds(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    name = draft("perceptron")
    data = answer(capsys, "check", name, "--target", "chromium-15", "--target", "onnxruntime", "--target", "arrays")
    assert [verdict["builds"] for verdict in data["targets"]] == [True, True, True]
    assert main(["check", name]) == 0
    assert "yes, all 3 nodes" in capsys.readouterr().out


def test_check_for_people_says_what_would_do(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", draft("wide"), "--target", "chromium-147"]) == 1
    text = capsys.readouterr().out
    assert "no, 2 of 2 nodes refused" in text
    assert "reshape to rank 6" in " ".join(text.split())
    assert "--fix OUT, with one --target, writes the model" in " ".join(text.split())
    assert "note:" not in text


def test_check_notes_pools_that_a_browser_rounds_otherwise(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    (verdict,) = answer(capsys, "check", draft("pool"), "--target", "chromium-147")["targets"]
    assert [note["message"] for note in verdict["notes"] if note["name"] == "pool-rounding"] == [
        "[up] max_pool2d is rounded up to [3, 3] by outputShapeRounding; chromium-147-linux-litert ignores"
        " outputShapeRounding, and rounds down unless outputSizes or the older roundingType is given"
    ]
    assert main(["check", draft("pool"), "--target", "chromium-147"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (
        "note: [up] max_pool2d is rounded up to [3, 3]; the target treats values beyond the end of the input as" in text
    )


def test_check_names_the_targets_there_are(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", draft("perceptron"), "--target", "netscape"]) == 2
    assert (
        "unknown target 'netscape'; the targets are: chromium-147-linux-litert, chromium-153-linux-litert, onnxruntime"
        in capsys.readouterr().err
    )


def test_check_writes_a_model_that_the_target_builds(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = draft("wide")
    data = answer(capsys, "check", name, "--target", "chromium-153", "--fix", "fitted.json")
    assert (data["builds"], data["equal"], data["before"]["builds"], data["after"]["builds"]) == (
        True,
        True,
        False,
        True,
    )
    assert {change["operator"] for change in data["changes"]} == {"add", "mul"}
    assert answer(capsys, "check", "fitted.json", "--target", "chromium-153")["builds"]
    assert main(["check", name, "--target", "chromium-153", "--fix", "fitted.json"]) == 1
    assert "fitted.json exists: --force replaces it" in capsys.readouterr().err
    assert main(["check", name, "--target", "chromium-153", "--fix", "fitted.json", "--force"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "computed as int32" in text
    assert "wrote fitted.json" in text


def test_check_compares_a_fitted_model_on_the_inputs_that_are_given(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["check", draft("wide"), "--target", "chromium-153"]
    data = answer(capsys, *words, "--fix", "fitted.json", "--input", "small=[3,3]")
    assert {one["output"]: one["magnitude"] for one in data["differences"]}["z"] == 9
    main([*words, "--fix", "fitted.json", "--force", "--input", "small=zeros"])
    assert "output 'z': equal, but all values are 0 or not finite" in " ".join(capsys.readouterr().out.split())
    assert main([*words, "--input", "small=zeros"]) == 2
    assert "inputs are for the comparison after --fix" in capsys.readouterr().err


def test_check_fits_to_one_target_and_to_a_format_that_can_be_written(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = draft("wide")
    assert main(["check", name, "--fix", "fitted.json"]) == 2
    assert (
        "give one --target to fit the model to, not chromium-147-linux-litert, chromium-153" in capsys.readouterr().err
    )
    assert main(["check", name, "--target", "chromium-153", "--fix", "fitted.tflite"]) == 1
    assert "cannot write this kind of file" in capsys.readouterr().err


# run.


def test_run_takes_files_and_writes_files(
    draft: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.array([[1, -2, 3]], np.float32)
    np.save(tmp_path / "in.npy", x)
    data = answer(
        capsys, "run", draft("perceptron"), "--input", "x=@in.npy", "--output", "y=y.npy", "--output", "a.npz"
    )
    expected = np.maximum(x @ np.arange(12, dtype=np.float32).reshape(3, 4), 0)
    np.testing.assert_allclose(np.load("y.npy"), expected)
    with np.load("a.npz") as archive:
        np.testing.assert_allclose(archive["total"], expected.sum())
    assert data["files"] == ["y.npy", "a.npz"]
    assert data["outputs"][0]["values"] == expected.tolist()


@pytest.mark.parametrize("backend", ["onnxruntime", "arrays"])
def test_run_gives_the_same_random_inputs_for_the_same_seed(
    backend: str, draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", draft("perceptron"), "--random", "--backend", backend]
    first, again, other = (answer(capsys, *words, "--seed", seed)["outputs"][0]["values"] for seed in ("1", "1", "2"))
    assert first == again != other


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no value for input 'x', float32 [1, 3]: give --input x=@x.npy, or --random"),
        (["--input", "z=1"], "unknown input 'z'; the model has 'x'"),
        (["--input", "x=1", "--input", "x=2"], "input 'x' is given twice; give it once"),
        (["--input", "x=[1,2]"], "input 'x': expected float32 [1, 3], got"),
        (["--input", "x=what"], "expected a number, a list, @FILE, random, zeros or ones, got 'what'"),
        (["--input", "x"], "input 'x': expected NAME=VALUE"),
        (["--input", "x=@absent.npy"], "absent.npy: No such file or directory"),
        (["--input", "x=@broken.npy"], "broken.npy: not a .npy file: it does not hold arrays"),
        (["--input", "x=true"], "expected a number, a list, @FILE, random, zeros or ones, got 'true'"),
        (["--input", "x=" + "[" * 50_000], "expected a number, a list, @FILE, random, zeros or ones, got '[[["),
        (["--input", "@broken.npz"], "broken.npz: not a .npz file"),
        (["--input", "@one.npy"], "one.npy holds one array; give it with the name of an input, as in NAME=@one.npy"),
        (["--input", "x=@several.npy"], "several.npy holds several arrays; give it as @several.npy without a name"),
        (["--constant", "x=@several.npy"], "several.npy holds several arrays; a constant is one array, in a .npy file"),
        (["--input", "x=@broken.bin"], "input 'x': expected 12 bytes for float32 [1, 3], got 7"),
        (["--random", "--output", "w=w.npy"], "unknown output 'w'; the model has 'y', 'total'"),
        (["--random", "--output", "y=y.txt"], "output 'y=y.txt': expected NAME=FILE.npy, or FILE.npz"),
        (["--random", "--output", "y=nowhere/y.npy"], "nowhere/y.npy: No such file or directory"),
        (["--random", "--backend", "abacus"], "no backend is called 'abacus'"),
    ],
)
def test_run_says_what_is_wrong(
    words: list[str], message: str, draft: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("broken.npy", "broken.npz", "broken.bin"):
        (tmp_path / name).write_bytes(b"garbage")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with open(tmp_path / "several.npy", "wb") as file:
        np.savez(file, x=np.zeros(3))
    assert main(["run", draft("perceptron"), *words]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("cut", [4, 40, 100, -30, -4])
def test_an_archive_that_is_cut_off_or_damaged_is_an_error_with_its_name(
    cut: int, draft: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.arange(3, dtype=np.float32))
    whole = (tmp_path / "x.npz").read_bytes()
    damaged = bytearray(whole)
    damaged[cut : cut + 3 or None] = b"\xff\xee\xdd"
    for data in (whole[:cut], damaged):
        (tmp_path / "x.npz").write_bytes(data)
        assert main(["run", draft("perceptron"), "--input", "@x.npz"]) in (0, 1)
        assert re.fullmatch(
            r"(webnn: (x\.npz: not a \.npz file: .*|no value for input 'x'.*)\n)?", capsys.readouterr().err
        )


def test_run_for_people_shows_values(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", draft("integers"), "--input", "x=[[1, 2]]"]) == 0
    assert re.search(r"y\s+int32\s+1.2\s+2\s+3\s+2.5\s+2, 3", capsys.readouterr().out)


# bench, convert.


def test_bench_gives_ratios_with_their_spread(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    name = draft("perceptron")
    data = answer(capsys, "bench", name, "--seconds", "0.1", "--rounds", "3")
    for kind in ("latency", "throughput"):
        ratio = data["ratios"][kind]
        assert 0 < ratio["smallest"] <= ratio["median"] <= ratio["largest"]
        assert len(ratio["rounds"]) == 3
    both = [data["latency_ms"][name]["median"] for name in ("webnn", "onnxruntime")]
    assert both[0] / both[1] == pytest.approx(data["ratios"]["latency"]["median"])
    both = [data["throughput_per_second"][name] for name in ("webnn", "onnxruntime")]
    assert both[0] / both[1] == pytest.approx(data["ratios"]["throughput"]["median"])
    assert "exported to ONNX" in data["peer"]
    assert main(["bench", name, "--seconds", "0.05", "--rounds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "smallest .. largest" in printed
    assert data["loop_per_second"] > data["throughput_per_second"]["webnn"], "the runs of a perceptron are short"
    assert "A loop over context.compute makes" in printed


def test_bench_alone_has_no_ratios(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", draft("perceptron"), "--no-peer", "--seconds", "0.05", "--rounds", "2"]
    data = answer(capsys, *words)
    assert data["peer"] is None
    assert "ratios" not in data
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "onnxruntime" not in printed.splitlines()[2]
    assert "ratio" not in printed


def test_bench_says_when_the_peer_cannot_run_the_model(
    draft: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("webnn.cli.commands.bench.onnxruntime.InferenceSession", refuse)
    message = answer(capsys, "bench", draft("perceptron"), code=1)["error"]["message"]
    assert message.startswith("plain onnxruntime cannot run it: no such kernel")
    assert "--no-peer" in message


def test_convert_writes_onnx_and_replaces_nothing_unasked(
    draft: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = draft("perceptron")
    data = answer(capsys, "convert", name, "model.onnx", "--shape", "batch=2")
    assert [file["path"] for file in data["files"]] == ["model.onnx"]
    (x,) = onnx.load("model.onnx").graph.input
    assert [dimension.dim_value for dimension in x.type.tensor_type.shape.dim] == [2, 3]
    assert "--force replaces it" in answer(capsys, "convert", name, "model.onnx", code=1)["error"]["message"]
    assert main(["convert", name, "model.onnx", "--force"]) == 0
    assert "wrote model.onnx" in capsys.readouterr().out
    assert "cannot write this kind of file" in answer(capsys, "convert", name, "model.exe", code=1)["error"]["message"]
    assert answer(capsys, "convert", name, "nowhere/model.onnx", code=1)["error"]["kind"] == "FileNotFoundError"


def test_convert_gives_other_names(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    name = draft("perceptron")
    given = ("convert", name, "model.webnn", "--shape", "batch=2")
    assert answer(capsys, *given, "--rename", "x=1=2", code=1)["error"]["message"].startswith("names has 'x=1',")
    assert answer(capsys, *given, "--rename", "x=136")["renamed"] == {"inputs": {"136": "_136"}, "outputs": {}}
    assert answer(capsys, "info", "model.webnn")["inputs"][0]["name"] == "136"
    assert main([*given, "--rename", "x=136", "--force"]) == 0
    assert "for other programs, input 136 is called _136" in capsys.readouterr().out


def test_convert_writes_modules_and_pages(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    name = draft("perceptron")
    files = answer(capsys, "convert", name, "app.js", "--shape", "batch=2")["files"]
    assert {"app.d.ts", "app.js", "webnn.d.ts"} <= {row["path"] for row in files}
    (page,) = answer(capsys, "convert", name, "page.html", "--shape", "batch=1", "--input", "x=ones")["files"]
    assert page["path"] == "page.html"
    words = ("convert", name, "other.js", "--shape", "batch=1", "--input", "x=ones")
    assert "--input is for the test of a page" in answer(capsys, *words, code=1)["error"]["message"]


def test_browsers_that_are_not_there_are_refused(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = draft("perceptron")
    words = ("compare", name, "--shape", "batch=1", "--browser", "no-such-browser")
    assert "'no-such-browser' is not a program" in answer(capsys, *words, code=1)["error"]["message"]
    record = ("record", "mine.json", "--browser", "no-such-browser")
    assert "'no-such-browser' is not a program" in answer(capsys, *record, code=1)["error"]["message"]
    other = ("record", "mine.txt", "--browser", "no-such-browser")
    assert "expected a file that ends with .json" in answer(capsys, *other, code=2)["error"]["message"]
    Path("there.json").write_text("{}")
    again = ("record", "there.json", "--browser", "no-such-browser")
    assert "--force replaces it" in answer(capsys, *again, code=1)["error"]["message"]


# devices, completion.


def test_devices_lists_every_backend(capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(capsys, "devices")
    assert [row["name"] for row in rows][:2] == ["onnxruntime", "arrays"]
    assert [row["name"] for row in rows if row["preferred"]] == ["onnxruntime"]
    assert main(["devices"]) == 0
    assert re.search(r"onnxruntime\s+cpu\s+preferred", capsys.readouterr().out)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert f"_WEBNN_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_the_help_of_completion_has_a_line_for_each_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "--help"]) == 0
    lines = [line.split()[0] for line in capsys.readouterr().out.splitlines() if "webnn completion " in line]
    assert lines == ["Usage:", "bash:", "zsh:", "fish:"]


@pytest.mark.parametrize(
    ("words", "begun", "expected"),
    [
        ([], "co", ["compare", "convert", "completion"]),
        (["check", "m", "--target"], "chrom", ["chromium-147-linux-litert", "chromium-153-linux-litert"]),
        (["run", "m", "--backend"], "arr", ["arrays"]),
        (["run", "m"], "--see", ["--seed"]),
    ],
)
def test_commands_options_and_names_are_completed(words: list[str], begun: str, expected: list[str]) -> None:
    from click.shell_completion import ShellComplete  # noqa: PLC0415

    from webnn.cli.program import program  # noqa: PLC0415

    found = ShellComplete(program, {}, "webnn", "_WEBNN_COMPLETE").get_completions(words, begun)
    assert [item.value for item in found] == expected


# cache.


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


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (0, ("node",), "0 nodes"),
        (1, ("node",), "1 node"),
        (2, ("node",), "2 nodes"),
        (1, ("entry", "entries"), "1 entry"),
        (2, ("entry", "entries"), "2 entries"),
    ],
)
def test_counts_have_the_right_number(count: int, words: tuple[str, ...], expected: str) -> None:
    assert counted(count, *words) == expected


def test_one_of_anything_is_told_in_the_singular(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'webnn_graph "g" v1 { inputs { x: f32[2]; } consts { c: f32[2] @bytes([0,0,128,63,0,0,128,63]); }'
    (tmp_path / "m.webnn").write_text(f"{text} nodes {{ y = div(x, c); }} outputs {{ y; }} }}")
    for words, expected in (
        (["info", "m.webnn"], "2 in 1 constant, "),
        (["check", "m.webnn", "--target", "arrays"], "yes, 1 node\n"),
        (["view", "m.webnn"], "m.html: 1 node, "),
        (["run", "m.webnn", "--input", "x=[NaN, 1]"], "y: 1 element is not finite"),
        (["bench", "m.webnn", "--no-peer", "--seconds", "0.05", "--rounds", "1", "--depth", "1"], "1 round, "),
    ):
        assert main(words) == 0
        assert expected in capsys.readouterr().out


def test_clearing_the_cache_touches_nothing_that_is_not_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "project" / "data").mkdir(parents=True)
    for name in ("settings.json", "data/values.json", "notes.txt"):
        (tmp_path / "project" / name).write_text("{}")
    assert answer(capsys, "cache", "clear", "--dir", str(tmp_path))["removed"] == []
    assert len([path for path in (tmp_path / "project").rglob("*") if path.is_file()]) == 3


# trace.


def test_trace_says_where_the_time_went(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    data = answer(capsys, "trace", draft("perceptron"), "--runs", "5", "-o", "run.json", "--html", "run.html")
    (graph,) = data["graphs"]
    assert data["tasks"] == {"done": 5}
    assert (graph["name"], graph["runs"], graph["compile_ms"]) == ("perceptron", 5, None)
    assert 0 < graph["run_ms"]["median"] <= graph["whole_ms"]["median"] <= graph["whole_ms"]["p99"]
    assert sum(data["shares"].values()) == pytest.approx(1)
    assert data["files"] == ["run.json", "run.html"]
    assert problems(json.loads(Path("run.json").read_text())) == []
    page = Path("run.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(?!data:,)\w""", page.partition("<script id")[0])
    assert main(["trace", "perceptron.draft", "--runs", "5", "--html", "run.html"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"running +[\d.]+ %", printed)
    assert re.search(r"runs: 5 done; [\d.]+ k?B copied; \d+ output buffers? reused", printed)
    assert printed.endswith("wrote run.html\n")


def test_a_cold_trace_has_the_compilation(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    data = answer(capsys, "trace", draft("perceptron"), "--runs", "1", "--depth", "1", "--cold")
    assert data["graphs"][0]["compile_ms"] > 0
    assert "compile" in {kind for thread in data["threads"] for kind in thread["kinds_ms"]}


def test_a_trace_that_cannot_be_written_is_an_error(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    message = answer(capsys, "trace", draft("perceptron"), "-o", "nowhere/run.json", code=1)["error"]["message"]
    assert "nowhere/run.json" in message


def test_the_summary_of_a_trace_counts_what_was_not_run() -> None:
    with webnn.ML().create_context(backend="arrays") as context, context.trace() as trace:
        graph = double(context)
        promises = [context.run(graph, {"x": filled(i)}) for i in range(4)]
        for promise in promises[1:]:
            promise.cancel()
        promises[0].result()
        context.destroy()
    figures = summary(trace.events)
    assert sum(figures["tasks"].values()) == 4
    assert figures["tasks"].get("dropped (cancelled)", 0) + figures["tasks"]["done"] == 4
    assert summary([])["tasks"] == {}


# view.


def test_view_writes_one_page_that_needs_nothing_else(
    draft: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = answer(capsys, "view", draft("perceptron"))
    page = (tmp_path / "perceptron.html").read_text(encoding="utf-8")
    assert data["page"] == "perceptron.html"
    assert data["bytes"] == len(page.encode())
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(?!data:,)\w""", page.partition("<script id")[0])
    assert "<b>[red]relu" not in page
    assert "\\u003cb>[red]relu" in page
    assert main(["view", "perceptron.draft", "-o", "other.html"]) == 0
    assert (tmp_path / "other.html").exists()
    assert main(["view", "perceptron.draft", "-o", "nowhere/other.html"]) == 1
    assert "webnn: nowhere/other.html: No such file" in capsys.readouterr().err


def test_view_gives_each_of_two_models_the_sizes_and_constants_that_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = onnx.helper.make_node("Reshape", ["x", "to"], ["y"])
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 2])
    to = onnx.helper.make_tensor_value_info("to", onnx.TensorProto.INT64, [1])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "g", [x, to], [y])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), "m.onnx")
    for size in ("x=3,2", "n=3"):
        words = ("--shape", size, "--constant", "to=[6]")
        answer(capsys, "convert", "m.onnx", "m.webnn", *words, "--force")
        data = answer(capsys, "view", "m.onnx", "m.webnn", *words)
        assert (data["nodes"], data["other_nodes"], data["differ"]) == (1, 1, 0)
        assert answer(capsys, "view", "m.webnn", "m.onnx", *words)["differ"] == 0
    message = answer(capsys, "view", "m.onnx", "m.webnn", *words, "--shape", "k=3", code=1)["error"]["message"]
    assert message == "shapes: the model has no input or dimension 'k'; it has n, to, x"


def test_a_new_file_does_not_replace_the_weights_that_a_model_was_published_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [64]) for name in "xy")
    weights = [onnx.numpy_helper.from_array(np.ones(64, np.float32), "w")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Mul", ["x", "w"], ["y"])], "g", [x], [y], weights)
    opsets = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), "model.onnx")
    published = tmp_path / "model.safetensors"
    save_safetensors(published, {"w": np.ones(2, np.float32)})
    before = published.read_bytes()
    words = ("convert", "model.onnx", "model.webnn", "--force")
    message = answer(capsys, *words, code=1)["error"]["message"]
    assert message.startswith("model.safetensors: the weights of model.webnn would replace other ones; move these, or")
    assert published.read_bytes() == before
    assert not (tmp_path / "model.webnn").exists()
