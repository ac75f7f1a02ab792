from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from webnn.errors import ValidationError
from webnn.graph import arguments
from webnn.graph.descriptor import MLOperandDescriptor


@pytest.mark.parametrize("value", [0, 7, 2**32 - 1, np.int64(7), np.uint8(7), 7.0])
def test_an_unsigned_integer_is_accepted_in_every_form(value: Any) -> None:
    result = arguments.unsigned("axis", value)
    assert type(result) is int
    assert result == value


@pytest.mark.parametrize(
    "value", [-1, 2**32, 1.5, math.nan, math.inf, True, None, "1", [1], 1j, Decimal(1), object(), np.float32(1.5)]
)
def test_a_value_that_is_not_an_unsigned_integer_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^axis must be an integer"):
        arguments.unsigned("axis", value)


@pytest.mark.parametrize("value", [-(2**31), -1, 2**31 - 1, np.int8(-3)])
def test_a_signed_integer_is_accepted(value: Any) -> None:
    assert arguments.signed("diagonal", value) == value


@pytest.mark.parametrize("value", [-(2**31) - 1, 2**31, False])
def test_a_value_that_is_not_a_signed_integer_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^diagonal must be an integer"):
        arguments.signed("diagonal", value)


@pytest.mark.parametrize("value", [[1, 2], (1, 2), np.array([1, 2]), range(1, 3), iter([1, 2]), [1.0, np.int8(2)]])
def test_a_list_of_integers_is_accepted_in_every_form(value: Any) -> None:
    result = arguments.unsigned_list("sizes", value)
    assert result == (1, 2)
    assert [type(item) for item in result] == [int, int]


@pytest.mark.parametrize("value", [5, None, "12", b"12", {1: 2}, np.int64(3), np.array(3), object()])
def test_a_value_that_is_not_a_list_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^sizes must be a sequence of integers, got"):
        arguments.unsigned_list("sizes", value)


def test_a_bad_item_of_a_list_is_named() -> None:
    with pytest.raises(ValidationError, match=r"^sizes\[1\] must be an integer from 0 to 4294967295, got -2"):
        arguments.unsigned_list("sizes", [1, -2])


def test_a_list_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"^padding must have 4 items, got \[1, 2\]"):
        arguments.unsigned_list("padding", [1, 2], length=4)


def test_axes_must_be_in_range_and_distinct() -> None:
    assert arguments.axis_of("axis", 1, (2, 3)) == 1
    assert arguments.axes_of("axes", [1, 0], (2, 3)) == (1, 0)
    with pytest.raises(ValidationError, match=r"axis 2 is out of range for shape \[2, 3\] of rank 2"):
        arguments.axis_of("axis", 2, (2, 3))
    with pytest.raises(ValidationError, match=r"axis -1 is out of range for shape \[2\] of rank 1 \(valid axes: 0\)"):
        arguments.axis_of("axis", -1, (2,))
    with pytest.raises(
        ValidationError, match=r"axis 0 is out of range for shape \[\] of rank 0 \(a scalar has no axes\)"
    ):
        arguments.axis_of("axis", 0, ())
    with pytest.raises(ValidationError, match=r"axes \[0, 5\]: 5 is out of range for shape \[2, 3\]"):
        arguments.axes_of("axes", [0, 5], (2, 3))
    with pytest.raises(ValidationError, match=r"axes \[1, 1\] has 1 twice"):
        arguments.axes_of("axes", [1, 1], (2, 3))


def test_axes_are_accepted_in_every_form_of_an_integer() -> None:
    assert arguments.axis_of("axis", np.int64(1), (2, 3)) == 1
    axes = arguments.axes_of("axes", [1.0, np.uint8(0)], (2, 3))
    assert axes == (1, 0)
    assert all(type(axis) is int for axis in axes)
    assert arguments.axes_of("axes", np.array([1, 0]), (2, 3)) == (1, 0)


@pytest.mark.parametrize("value", [None, True, 0.5, "0", [0], 10**5000], ids=arguments.shown)
def test_a_value_that_is_not_an_axis_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^axis (must be an integer, got|<int> is out of range)"):
        arguments.axis_of("axis", value, (2, 3))
    with pytest.raises(ValidationError, match=r"^axes(\[0\] must be an integer, got| <list>: <int> is out of range)"):
        arguments.axes_of("axes", [value], (2, 3))


@pytest.mark.parametrize("value", ["NCHW", "", "chwn", None, 1, ["nchw"], b"nchw"])
def test_a_value_outside_the_enumeration_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^layout must be one of 'nchw', 'nhwc', got"):
        arguments.enum_value("layout", value, ("nchw", "nhwc"))


def test_booleans_of_python_and_numpy_are_accepted() -> None:
    assert arguments.boolean("upper", True) is True
    assert arguments.boolean("upper", np.False_) is False


@pytest.mark.parametrize("value", [0, 1, "true", None, [], np.array([True])])
def test_a_value_that_is_not_a_boolean_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^upper must be True or False, got"):
        arguments.boolean("upper", value)


@pytest.mark.parametrize("value", [3, 10**30, -0.5, math.inf, np.float16(0.5), np.int64(2**62 + 1), Fraction(1, 4)])
def test_a_number_keeps_its_value(value: Any) -> None:
    result = arguments.number("value", value)
    assert result == value
    assert isinstance(result, int | float)


def test_a_number_may_be_nan() -> None:
    assert math.isnan(arguments.number("value", math.nan))


@pytest.mark.parametrize("take", [arguments.number, arguments.double])
@pytest.mark.parametrize("value", [True, None, "half", [1.0], 1j, object()])
def test_a_value_that_is_not_a_number_is_refused(take: Callable[[str, Any], float], value: Any) -> None:
    with pytest.raises(ValidationError, match=r"^alpha must be a number, got"):
        take("alpha", value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_a_double_is_finite(value: float) -> None:
    with pytest.raises(ValidationError, match=r"^alpha must be finite, got"):
        arguments.double("alpha", value)


def test_printing_escapes_characters_that_would_disturb_the_line() -> None:
    assert arguments.printable("stem\n\x00\u202e ü") == "stem\\n\\x00\\u202e ü"


class Silent:
    def __repr__(self) -> str:
        raise RuntimeError("nobody knows what this is")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("nhcw", "'nhcw'"),
        ([0] * 100, "[0, 0, 0, 0, 0, 0,..."),
        (10**5000, "<int>"),
        (Silent(), "<Silent>"),
        (np.eye(2), "array([[1., 0.], [..."),
    ],
    ids=["short", "long", "too long", "silent", "of two lines"],
)
def test_a_message_shows_any_value_and_stays_short(value: Any, text: str) -> None:
    assert arguments.shown(value, 21) == text


@pytest.mark.parametrize("value", [10**5000, [10**5000], Silent(), [Silent()]], ids=["int", "ints", "object", "list"])
def test_a_value_that_cannot_be_printed_is_refused_too(value: Any) -> None:
    for take in (arguments.unsigned, arguments.unsigned_list, arguments.boolean, arguments.double):
        with pytest.raises(ValidationError, match=r"^x(\[0\])? must be .*, got <"):
            take("x", value)


@pytest.mark.parametrize("value", ["float16", np.float16, np.dtype(np.float16), np.zeros(1, np.float16).dtype])
def test_a_data_type_is_named_or_is_numpys(value: object) -> None:
    assert arguments.data_type_named("data_type", value) == "float16"
    assert MLOperandDescriptor(value, [2]) == MLOperandDescriptor("float16", [2])  # type: ignore[call-overload]


def test_a_four_bit_data_type_may_be_that_of_ml_dtypes() -> None:
    assert arguments.data_type_named("data_type", ml_dtypes.int4) == "int4"


@pytest.mark.parametrize("value", [np.float64, np.dtype(">f4"), float, np.bool_, np.generic, None, 1, "f4"])
def test_other_data_types_are_refused(value: object) -> None:
    with pytest.raises(ValidationError, match=r"data_type must be one of 'float32', .*, got "):
        arguments.data_type_named("data_type", value)


def test_a_data_type_may_be_limited_to_some() -> None:
    with pytest.raises(ValidationError, match="data_type must be one of 'int32', 'int64', got"):
        arguments.data_type_named("data_type", np.float32, ("int32", "int64"))
