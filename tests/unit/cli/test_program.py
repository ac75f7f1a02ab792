"""What all commands share: help, errors, exit codes, completion, and figures in words."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

from tests.command_line import answer
from webnn.cli import main as entry
from webnn.cli.output import counted
from webnn.cli.program import COMMANDS, main


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
