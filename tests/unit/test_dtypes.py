from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from webnn.errors import ValidationError
from webnn.graph.dtypes import ALL, DATA_TYPES, DataType, cast_number, data_type_of, element_bits, numpy_dtype


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_data_types_and_dtypes_map_to_each_other(data_type: DataType) -> None:
    assert data_type_of(numpy_dtype(data_type)) == data_type
    assert numpy_dtype(data_type).name == data_type


@pytest.mark.parametrize("data_type", ALL)
def test_the_size_of_an_element_is_that_of_its_dtype(data_type: DataType) -> None:
    assert element_bits(data_type) == numpy_dtype(data_type).itemsize * 8


def test_two_four_bit_elements_share_a_byte() -> None:
    assert element_bits("int4") == element_bits("uint4") == 4


@pytest.mark.parametrize("dtype", [np.complex64, np.object_, np.str_])
def test_a_dtype_without_a_data_type_is_refused(dtype: type) -> None:
    with pytest.raises(ValidationError, match=r"is not a WebNN data type; convert .* one of these: float32, float16"):
        data_type_of(np.dtype(dtype))


@pytest.mark.parametrize(
    ("dtype", "closest"),
    [
        (np.float64, "float32"),
        (np.bool_, "uint8"),
        (np.int16, "int32"),
        (np.uint16, "int32"),
        (ml_dtypes.bfloat16, "float32"),
    ],
)
def test_a_dtype_with_a_close_data_type_is_refused_with_the_cast(dtype: type, closest: str) -> None:
    with pytest.raises(ValidationError, match=rf"is not a WebNN data type; convert it: array\.astype\('{closest}'\)$"):
        data_type_of(np.dtype(dtype))


def test_a_dtype_in_another_byte_order_is_refused_with_a_remedy() -> None:
    with pytest.raises(ValidationError, match=r"not in native byte order; convert it: array.astype\('int32'\)"):
        data_type_of(np.dtype(np.int32).newbyteorder())


@pytest.mark.parametrize(
    ("value", "data_type", "result"),
    [
        (0.1, "float32", float(np.float32(0.1))),
        (65520.0, "float16", math.inf),
        (65519.0, "float16", 65504.0),
        (-(10**400), "float32", -math.inf),
        (300.5, "uint8", 255),
        (-300, "int8", -128),
        (math.inf, "int32", 2**31 - 1),
        (-math.inf, "uint32", 0),
        (math.nan, "int64", 0),
        (2**64, "uint64", 2**64 - 1),
        (2**63 - 1, "int64", 2**63 - 1),
        (2.5, "int8", 2),
        (-3.5, "int8", -4),
        (9, "int4", 7),
        (-1, "uint4", 0),
    ],
)
def test_a_number_is_cast_as_the_specification_says(value: float, data_type: DataType, result: float) -> None:
    assert cast_number(value, data_type) == result


def test_casting_to_a_float_keeps_nan() -> None:
    assert math.isnan(cast_number(math.nan, "float16"))
