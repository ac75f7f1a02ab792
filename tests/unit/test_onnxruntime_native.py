"""The private names of onnxruntime: who imports them, and what happens when a version lacks one."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from tests.unit.test_layers import ROOT, modules
from webnn.backends.onnxruntime import native

HERE: Final = "webnn.backends.onnxruntime.native"


def private_uses(source: str) -> Iterator[str]:
    """The lines of `source` that import from below `onnxruntime`, or take a private attribute of its objects."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"{node.lineno}: {alias.name}" for alias in node.names if alias.name.startswith("onnxruntime."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("onnxruntime."):
            yield f"{node.lineno}: {node.module}"
        elif isinstance(node, ast.Attribute) and node.attr in ("capi", "_sess", "_ortvalue", "_iobinding"):
            yield f"{node.lineno}: {node.attr}"


@pytest.mark.skipif(not (ROOT / "webnn").is_dir(), reason="the sources are not beside the tests")
def test_one_module_uses_private_names() -> None:
    assert {module for module, source in modules().items() if list(private_uses(source))} == {HERE}


@pytest.mark.parametrize(
    "source",
    [
        "from onnxruntime.capi import _pybind_state",
        "import onnxruntime.capi.onnxruntime_pybind11_state",
        "def f(session):\n    return session._sess",
        "import onnxruntime\nonnxruntime.capi",
    ],
)
def test_a_private_name_is_found(source: str) -> None:
    assert len(list(private_uses(source))) == 1
    assert list(private_uses("import onnxruntime\nonnxruntime.InferenceSession")) == []


def everything() -> Any:
    """An object that lacks nothing."""
    names = ("InferenceSession", "OrtDevice", "OrtValue", "RunOptions", "SessionIOBinding", "GraphOptimizationLevel")
    attributes = {name: getattr(native, name) for name in (*names, "SessionOptions", "get_all_opkernel_def")}
    kernel = SimpleNamespace(domain="", op_name="", provider="", type_constraints={}, version_range=(1, 1))
    return SimpleNamespace(**attributes, opkernel=SimpleNamespace(KernelDef=kernel))


def test_the_installed_version_lacks_nothing() -> None:
    assert native.missing(everything()) == []


def test_what_is_missing_is_named() -> None:
    module = everything()
    del module.get_all_opkernel_def, module.opkernel.KernelDef
    module.InferenceSession = SimpleNamespace(initialize_session=None)
    expected = [
        "InferenceSession.get_provider_graph_assignment_info",
        "InferenceSession.run_with_iobinding",
        "get_all_opkernel_def",
        "opkernel.KernelDef",
    ]
    assert native.missing(module) == expected


def reason_after(statement: str) -> str:
    """Why the backend is not available in a new interpreter, after `statement`; and that another one is found."""
    script = (
        f"{statement}\n"
        "import webnn\n"
        "print(next(b.reason for b in webnn.available_backends() if b.name == 'onnxruntime'))\n"
        "try: webnn.ML().create_context(backend='onnxruntime')\n"
        "except webnn.errors.NotSupportedError as error: print(error)\n"
        "with webnn.ML().create_context(accelerated=False) as context: print(context.backend)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    reason, raised, other = result.stdout.splitlines()
    assert reason in raised
    assert other == "arrays"
    return reason


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "from onnxruntime.capi import _pybind_state as n; del n.SessionIOBinding, n.get_all_opkernel_def",
            r"onnxruntime 1\.\S+ has no SessionIOBinding and no get_all_opkernel_def; install a version that",
        ),
        (
            "import sys, onnxruntime.capi; sys.modules['onnxruntime.capi._pybind_state'] = None\n"
            "del onnxruntime.capi._pybind_state",
            r"onnxruntime 1\.\S+ has no onnxruntime\.capi\._pybind_state \(.*\); install a version that was tested",
        ),
        (
            "import sys; sys.modules['onnxruntime'] = None",
            r"onnxruntime cannot be imported \(.*\); install a version that was tested: pip install 'onnxruntime>=",
        ),
    ],
    ids=["a name", "the module", "all of it"],
)
def test_a_version_that_lacks_a_name_makes_the_backend_unavailable(statement: str, expected: str) -> None:
    assert re.match(expected, reason_after(statement))


@pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="the sources are not beside the tests")
def test_the_versions_to_install_are_those_of_the_distribution() -> None:
    project = tomllib.loads(Path(ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"onnxruntime{native.VERSIONS}" in project["dependencies"]
