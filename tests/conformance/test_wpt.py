"""The reader and the judge of WPT's data, and that each can say no."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.conformance import wpt
from tests.conformance.known_failures import KNOWN_FAILURES
from tests.conformance.verdicts import summary, verdict


def expectation(data_type: str, data: list[Any] | float, shape: list[int] | None = None) -> dict[str, Any]:
    assert shape is not None or isinstance(data, list)
    return {"dataType": data_type, "shape": shape if shape is not None else [len(data)], "data": data}  # type: ignore[arg-type]


def ulp(value: int) -> dict[str, Any]:
    return {"metric": "ULP", "value": value}


def atol(value: float) -> dict[str, Any]:
    return {"metric": "ATOL", "value": value}


@pytest.mark.skipif(wpt.MISSING is not None, reason=wpt.MISSING or "")
def test_every_case_of_the_data_is_read() -> None:
    cases = list(wpt.conformance_cases())
    assert len(cases) >= 1734
    assert sum(case.stale is not None for case in cases) >= 45
    assert len(list(wpt.sequences("validation"))) >= 918
    assert len(list(wpt.sequences("scripts"))) >= 60


@pytest.mark.skipif(wpt.MISSING is not None, reason=wpt.MISSING or "")
def test_every_expectation_satisfies_the_judge() -> None:
    for case in wpt.conformance_cases():
        for spec in case.data["expectedOutputs"].values():
            assert wpt.problem(wpt.array_of(spec), spec, case.data["tolerance"]) is None, case


@pytest.mark.skipif(wpt.MISSING is not None, reason=wpt.MISSING or "")
def test_known_failures_are_tests_that_exist() -> None:
    cases = [*wpt.conformance_cases(), *wpt.sequences("validation"), *wpt.sequences("scripts")]
    assert {(file, name) for file, name, _ in KNOWN_FAILURES} <= {(case.file, case.name) for case in cases}


@pytest.mark.parametrize(
    ("value", "number"), [(1.5, 1.5), ({"$f": "-Infinity"}, -math.inf), ({"$i": "-9223372036854775808"}, -(2**63))]
)
def test_numbers_are_what_javascript_wrote(value: Any, number: float) -> None:
    assert wpt.number_of(value) == number


def test_not_a_number_and_negative_zero_survive_reading() -> None:
    assert math.isnan(wpt.number_of({"$f": "NaN"}))
    assert math.copysign(1, wpt.number_of({"$f": "-0"})) == -1


@pytest.mark.parametrize(
    ("data_type", "number", "held"),
    [
        ("uint8", -1, 255),
        ("int8", 200, -56),
        ("int4", 10, -6),
        ("uint4", 17, 1),
        ("uint64", {"$i": "18446744073709551615"}, 2**64 - 1),
        ("float16", 1e6, math.inf),
    ],
)
def test_elements_are_held_as_a_typed_array_holds_them(data_type: str, number: Any, held: float) -> None:
    assert wpt.typed_array([number], data_type)[0] == held


def test_one_number_fills_the_whole_shape() -> None:
    assert wpt.array_of(expectation("int32", 7, [2, 3])).tolist() == [[7, 7, 7], [7, 7, 7]]


def test_a_fill_is_as_long_as_it_says() -> None:
    assert wpt.typed_array({"$fill": 0.5, "length": 3}, "float32").tolist() == [0.5, 0.5, 0.5]


def test_half_bits_win_over_the_written_values() -> None:
    spec = {**expectation("float16", [1.0]), "halfBits": [0x4000]}
    assert wpt.array_of(spec).tolist() == [2.0]


@pytest.mark.parametrize("kind", ["ArrayBuffer", "SharedArrayBuffer", "Uint8Array"])
def test_buffers_hold_their_bytes(kind: str) -> None:
    assert bytes(wpt.buffer_of({"$buffer": kind, "data": [1, 2, 3]})) == b"\1\2\3"


def test_typed_arrays_of_shared_memory_hold_their_elements() -> None:
    buffer = wpt.buffer_of({"$buffer": "BigInt64Array", "data": [{"$i": "-5"}], "shared": True})
    assert buffer.dtype == np.int64
    assert buffer.tolist() == [-5]


def test_a_detached_buffer_cannot_be_read() -> None:
    buffer = wpt.buffer_of({"$buffer": "Int32Array", "data": [], "detached": True})
    with pytest.raises(ValueError, match="released"):
        bytes(buffer)


@pytest.mark.parametrize(
    ("data_type", "actual", "expected", "tolerance"),
    [
        ("float32", [np.nextafter(np.float32(1), np.float32(2))], [1.0], ulp(1)),
        ("float32", [math.nan, math.inf, -0.0], [{"$f": "NaN"}, {"$f": "Infinity"}, 0], ulp(0)),
        ("float32", [1e-45], [{"$f": "-0"}], ulp(1)),
        ("float16", [-0.0], [0], ulp(0)),
        ("float16", [1.001], [1.0], ulp(1)),
        ("int64", [2**63 - 1], [{"$i": "9223372036854775806"}], ulp(1)),
        ("int8", [-128], [-127], ulp(1)),
        ("float32", [0.5], [0.4], atol(0.11)),
        ("float32", [math.inf, math.nan], [{"$f": "Infinity"}, {"$f": "NaN"}], atol(0)),
    ],
)
def test_the_judge_accepts(data_type: str, actual: list[Any], expected: list[Any], tolerance: dict[str, Any]) -> None:
    assert wpt.problem(np.array(actual, data_type), expectation(data_type, expected), tolerance) is None


@pytest.mark.parametrize(
    ("data_type", "actual", "expected", "tolerance", "message"),
    [
        ("float32", [1.0, 2.0], [1.0], ulp(0), r"shape \[2\], expected \[1\]"),
        ("float32", [np.nextafter(np.float32(1), np.float32(2))], [1.0], ulp(0), "off by more than 0 ULP, at worst 1"),
        ("float32", [math.nan], [1.0], ulp(100), "nan"),
        ("float32", [1.0], [-1.0], ulp(100), "ULP"),
        ("float16", [1e-7], [{"$f": "-0"}], ulp(100), "ULP"),  # the raw bits differ by the sign
        ("int64", [-(2**63)], [{"$i": "9223372036854775807"}], ulp(100), "at worst 18446744073709551615"),
        ("uint8", [255], [0], ulp(254), "at worst 255"),
        ("float32", [0.5], [0.4], atol(0.09), "ATOL"),
        ("float32", [math.inf], [{"$f": "-Infinity"}], atol(1e9), "ATOL"),
        ("float32", [math.nan], [0], atol(1e9), "element 0: .*nan.*, expected"),
    ],
)
def test_the_judge_rejects(
    data_type: str, actual: list[Any], expected: list[Any], tolerance: dict[str, Any], message: str
) -> None:
    found = wpt.problem(np.array(actual, data_type), expectation(data_type, expected), tolerance)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found)


def test_the_judge_rejects_another_data_type() -> None:
    found = wpt.problem(np.ones(1, np.float64), expectation("float32", [1.0]), ulp(0))
    assert found == "data type float64, expected float32"


def test_the_judge_looks_at_the_first_thousand_elements_of_a_fill() -> None:
    actual = np.ones(1001, np.float32)
    actual[1000] = 2
    assert wpt.problem(actual, expectation("float32", 1.0, [1001]), ulp(0)) is None
    actual[999] = 2
    assert "1 of 1000" in str(wpt.problem(actual, expectation("float32", 1.0, [1001]), ulp(0)))


class FakeRequest:
    def __init__(self) -> None:
        self.node = SimpleNamespace(user_properties=[])
        self.markers: list[pytest.MarkDecorator] = []

    def applymarker(self, marker: pytest.MarkDecorator) -> None:
        self.markers.append(marker)


def judged(case: wpt.Case, failure: Exception | None) -> FakeRequest:
    request = FakeRequest()
    with verdict(request, "conformance", "arrays", case):  # type: ignore[arg-type]
        if failure is not None:
            raise failure
    return request


def test_a_known_failure_may_not_pass_unnoticed() -> None:
    (file, name, _), reason = next(iter(KNOWN_FAILURES.items()))
    (marker,) = judged(wpt.Case(file, name, {}), None).markers
    assert marker.name == "xfail"
    assert marker.kwargs == {"strict": True, "reason": reason}


def test_a_case_older_than_the_specification_may_fail() -> None:
    case = wpt.Case("softmax", "softmax without axis", {}, stale="softmax has an axis")
    assert judged(case, None).markers == []
    with pytest.raises(pytest.xfail.Exception, match="older than the specification: softmax has an axis"):
        judged(case, AssertionError("0.5"))


def test_any_other_case_may_not_fail() -> None:
    with pytest.raises(AssertionError, match=r"0\.5"):
        judged(wpt.Case("softmax", "softmax", {}), AssertionError("0.5"))


def report(backend: str, when: str = "call", stale: bool = False) -> SimpleNamespace:
    return SimpleNamespace(user_properties=[("wpt", ("conformance", backend, stale))], when=when)


def test_the_summary_counts_each_backend_apart() -> None:
    stats = {
        "passed": [report("arrays"), report("arrays", "teardown"), report("arrays", stale=True), report("onnxruntime")],
        "failed": [report("onnxruntime")],
        "xfailed": [report("arrays"), report("arrays", stale=True)],
    }
    assert summary(stats) == [
        "WPT conformance on arrays: 1 of 2 pass, 1 known to fail, of 2 older than the specification 1 pass",
        "WPT conformance on onnxruntime: 1 of 2 pass, 1 FAIL",
    ]
