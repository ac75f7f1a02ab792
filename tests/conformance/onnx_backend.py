"""The ONNX standard's own backend tests of single nodes, imported and run.

Each case has a model of one node and inputs with their outputs. What WebNN takes when a graph is built (axes, shapes,
sizes) is fixed for the import where the model has it as an input; if that is not enough, all inputs are.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import ml_dtypes
import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from tests.direct import direct_builder, run_graph
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import MLError
from webnn.formats import import_onnx
from webnn.formats.onnx.importing.data_types import held_dtype

__all__ = ["TABLE", "cases", "outcome", "row", "table"]

TABLE: Final = Path(__file__).with_name("onnx_backend.md")

DIFFERENT: Final = "other numbers"
KNOWN: Final = "known"
"""Passed, but only with all inputs known when the model is imported."""

_LEAST_RTOL: Final = 1e-3
"""Some expectations are computed in float64, or written with four digits."""
_ROUNDING: Final = 1e-6
"""Of the largest number of a result: what is left in float32 of numbers that cancel out."""

_REASONS: Final = {
    r"no WebNN type holds (\w+)": "no WebNN type for {}",
    r"of type (\w+), which no WebNN type can hold": "no WebNN type for {}",
    r"dtype '(\w+)' is not a WebNN data type": "no WebNN type for {}",
    r"a type of constants only|casts nothing to u?int4|but a graph cannot return it": "4-bit numbers, no constants",
    r"dimension 0 is out|has the size 0|has no elements|leave some without elements": "an input without elements",
    r"Random\w+|drops elements at random": "random numbers",
    r"WebNN has no (\w+), and it cannot": "no {}",
    r"does not know (\w+) of the domain": "no {}",
    r"is computed when the model runs": "a parameter that is computed when the model runs",
    r"written in opset": "an opset before 7",
}
"""What the importer says, as a pattern, to the words of the table."""


@functools.cache
def cases() -> Mapping[str, Sequence[TestCase]]:
    """The cases by the type of their last node."""
    found: dict[str, list[TestCase]] = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in load_model_tests(kind="node"):
            if case.model is not None and case.data_sets:
                domain, op_type = case.model.graph.node[-1].domain, case.model.graph.node[-1].op_type
                found[f"{domain}.{op_type}" if domain else op_type].append(case)
    return dict(sorted(found.items()))


def outcome(case: TestCase, backend: Backend) -> str:
    """An empty string when all outputs are as expected, or `KNOWN`; else what is in the way."""
    assert case.model is not None
    assert case.data_sets is not None
    result = ""
    for given, expected in case.data_sets:
        names = [info.name for info in case.model.graph.input]
        values, results = [_value(value) for value in given], [_value(value) for value in expected]
        if any(np.size(value) == 0 for value in results if not isinstance(value, list)):
            problem = "a result without elements"
        else:
            problem = _run(case, dict(zip(names, values, strict=False)), results, backend)
        if problem not in {"", KNOWN}:
            return problem
        result = result or problem
    return result


def _value(value: object) -> Any:
    """An array, a list of them for a sequence, or None for an optional without a value."""
    if isinstance(value, list):
        return [_value(item) for item in value]
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _with_tensors(model: onnx.ModelProto, expected: Sequence[Any]) -> tuple[onnx.ModelProto, list[Any]]:
    """The model with the tensors of its outputs that are sequences, read one by one, in their place."""
    if not any(isinstance(value, list) for value in expected):
        return model, list(expected)
    changed, results = onnx.ModelProto(), []
    changed.CopyFrom(model)
    graph = changed.graph
    outputs = [info.name for info in graph.output]
    del graph.output[:]
    for name, value in zip(outputs, expected, strict=True):
        items = value if isinstance(value, list) else [value]
        results += items
        for i in range(len(items)):
            graph.output.append(onnx.ValueInfoProto(name=f"{name}.{i}"))
            place = onnx.helper.make_node("Constant", [], [f"{name}.place{i}"], value_int=i)
            read = onnx.helper.make_node("SequenceAt", [name, f"{name}.place{i}"], [f"{name}.{i}"])
            graph.node.extend([place, read])
    return changed, results


def _run(case: TestCase, feeds: Mapping[str, Any], expected: Sequence[Any], backend: Backend) -> str:
    assert case.model is not None
    model, expected = _with_tensors(case.model, expected)
    names = list(feeds)
    # Operands are tensors with elements; other values can only be constants.
    constant = [name for name in names if isinstance(feeds[name], list | None) or not np.size(feeds[name])]
    first = next((name for name in names if name not in constant), None)
    problem = ""
    for fixed in (constant, [name for name in names if name != first], names):
        constants = {name: feeds[name] for name in fixed}
        builder = direct_builder(backend)
        shapes = {name: np.shape(feeds[name]) for name in names if name not in fixed}
        try:
            outputs = import_onnx(model, builder, shapes=shapes, constants=constants)
            graph = builder.build(outputs)
        except MLError as error:
            problem = problem or reason_of(str(error))
            continue
        results = run_graph(graph, {name: _held(feeds[name]) for name in graph.inputs}, backend)
        for name, value in zip(outputs, expected, strict=False):
            if not _is_close(results[name], value, case):
                return DIFFERENT
        return KNOWN if fixed and fixed == names else ""
    return problem


def _is_close(result: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], case: TestCase) -> bool:
    wanted = _held(expected)
    rtol, atol = max(case.rtol, _LEAST_RTOL), case.atol
    if wanted.dtype.kind == "f":
        atol = max(atol, _ROUNDING * float(np.max(np.abs(wanted), initial=0, where=np.isfinite(wanted))))
    if wanted.dtype == np.float16 or expected.dtype == ml_dtypes.bfloat16:
        rtol = atol = 1e-3 if wanted.dtype == np.float16 else 1e-2
    if result.dtype != wanted.dtype or result.shape != wanted.shape:
        return False
    return np.allclose(result, wanted, rtol, atol, equal_nan=True)


def _held(value: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(value)
    return array.astype(held_dtype(array.dtype))


def reason_of(message: str) -> str:
    """The reason in an error of the importer, without the names and numbers of the case."""
    for pattern, reason in _REASONS.items():
        found = re.search(pattern, message)
        if found:
            return reason.format(*map(_onnx_name, found.groups()))
    return message.splitlines()[-1].strip()


def _onnx_name(type_name: str) -> str:
    """The standard's name of a type, which arrays call otherwise."""
    if not hasattr(ml_dtypes, type_name):
        return type_name
    element_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(getattr(ml_dtypes, type_name)))
    return str(onnx.TensorProto.DataType.Name(element_type)).lower()


def row(op_type: str, backend: Backend) -> str:
    """One line of the table: how many cases of an operator pass, and what is in the way of the others."""
    outcomes = Counter(outcome(case, backend) for case in cases()[op_type])
    known = outcomes.pop(KNOWN, 0)
    passed = outcomes.pop("", 0) + known
    ways = "; ".join(f"{reason} ({count})" for reason, count in sorted(outcomes.items()))
    return f"| {op_type} | {passed} of {passed + outcomes.total()} | {known or ''} | {ways} |"


def table(backend: Backend) -> str:
    """The table of all operators, as it is committed."""
    rows = [row(op_type, backend) for op_type in cases()]
    passed = sum(int(line.split("|")[2].split()[0]) for line in rows)
    total = sum(len(group) for group in cases().values())
    return "\n".join(
        [
            f"# The ONNX standard's backend tests of nodes: {passed} of {total} pass",
            "",
            f"onnx {onnx.__version__}, on both backends. `python -m tests.conformance.onnx_backend` writes this table.",
            "Known: so many of those that pass do so only with all inputs known when the model is imported. They are",
            "computed then: the sizes of their results depend on numbers, or what ONNX has as inputs are no operands.",
            "Other numbers: Resize with align_corners by scales whose sizes are rounded, and MaxUnpool into a larger",
            "shape than its windows need, where ours are onnxruntime's.",
            "",
            "| operator | passed | known | in the way of the others |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    TABLE.write_text(table(OnnxRuntimeBackend()), encoding="utf-8")
