"""Where a program begins: creating contexts, and what that refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import webnn
from tests.scripted import double, filled
from webnn.errors import NotSupportedError, ValidationError


def test_without_any_wish_it_is_the_first_backend_there_is() -> None:
    with webnn.ML().create_context() as context:
        assert context.backend == next(info.name for info in webnn.available_backends() if info.available)


def test_a_context_needs_no_ml_object() -> None:
    with webnn.create_context(backend="arrays") as context:
        assert context.backend == "arrays"


@pytest.mark.parametrize(
    "options",
    [
        {"power_preference": "low-power"},
        {"power_preference": "high-performance", "accelerated": True},
        {"accelerated": False},
        {"device_type": "cpu"},
        {"device_type": "npu"},
        {"threads": 1},
        {"lanes": 3},
        {"memory_budget": 1 << 20},
    ],
)
def test_preferences_are_hints_and_the_context_works(options: dict[str, Any]) -> None:
    with webnn.ML().create_context(backend="arrays", **options) as context:
        assert context.compute(double(context), {"x": filled(1)})["y"].tolist() == [2, 2, 2, 2]


def test_a_context_says_which_device_it_got_and_not_what_was_asked_for() -> None:
    offered = {info.name: info.accelerated for info in webnn.available_backends()}
    with webnn.ML().create_context(backend="arrays", accelerated=True) as context:
        assert context.accelerated is offered["arrays"] is False


def test_the_power_preference_does_not_keep_equal_graphs_from_sharing_a_compiled_one() -> None:
    backend = "onnxruntime"
    with (
        webnn.ML().create_context(backend=backend, power_preference="low-power") as first,
        webnn.ML().create_context(backend=backend, power_preference="high-performance") as second,
    ):
        weights = np.full(4, 8.25, np.float32)
        graphs = []
        for context in (first, second):
            builder = context.create_graph_builder()
            graphs.append(
                builder.build({"y": builder.mul(builder.input("x", [4], "float32"), builder.constant(weights))})
            )
            graphs[-1]._compiled.result(timeout=10)
        assert graphs[0]._work.executable is graphs[1]._work.executable


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"power_preference": "fast"}, "power_preference must be one of 'default', .*, got 'fast'"),
        ({"power_preference": None}, "power_preference must be one of .*, got None"),
        ({"accelerated": "yes"}, "accelerated must be True or False, got 'yes'"),
        ({"accelerated": 1}, "accelerated must be True or False, got 1"),
        ({"device_type": "tpu"}, "device_type must be one of 'cpu', 'gpu', 'npu', got 'tpu'"),
        ({"backend": 3}, "backend must be a name, got 3"),
        ({"lanes": 0}, "lanes must be at least 1, got 0"),
        ({"lanes": -1}, "lanes must be an integer from 0 to .*, got -1"),
        ({"lanes": "two"}, "lanes must be an integer, got 'two'"),
        ({"threads": 1.5}, "threads must be an integer, got 1.5"),
        ({"memory_budget": -1}, "memory_budget must be a number of bytes, got -1"),
        ({"memory_budget": True}, "memory_budget must be a number of bytes, got True"),
        ({"memory_budget": "1 GB"}, "memory_budget must be a number of bytes, got '1 GB'"),
    ],
)
def test_what_is_no_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=f"create_context: {message}"):
        webnn.ML().create_context(**options)


def test_an_unknown_backend_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        NotSupportedError, match=r"no backend is called 'quantum'; the backends are: arrays, .*onnxruntime"
    ):
        webnn.ML().create_context(backend="quantum")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpu", "device_type='gpu'"),
        ("cuda", "device_type='gpu'"),
        ("low-power", "power_preference='low-power'"),
        ("arrays", "backend='arrays'"),
    ],
)
def test_what_is_given_by_position_is_shown_as_an_option(name: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"too many positional arguments; write {meant}; the call is create_context"):
        webnn.create_context(name)  # type: ignore[misc, arg-type, unused-ignore]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gpu", ", which is a kind of device: write device_type='gpu'"),
        ("onnxruntme", ": write 'onnxruntime'"),
        ("Arrays", ": write 'arrays'"),
    ],
)
def test_what_is_meant_by_the_name_of_an_unknown_backend_is_guessed(name: str, hint: str) -> None:
    with pytest.raises(NotSupportedError, match=f"no backend is called '{name}'{hint}; the backends are: arrays"):
        webnn.create_context(backend=name)


def test_a_refusal_starts_nothing() -> None:
    """That no thread is left is checked after every test."""
    for _ in range(3):
        with pytest.raises(NotSupportedError):
            webnn.ML().create_context(backend="quantum")
