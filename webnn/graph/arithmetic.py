"""Python's operators on operands: `x * 2 + b`, `x @ w`, `-x`, `x[0:3]`. Each is a call of the builder's method.

Data types and shapes follow the rules of these methods. Comparisons have no operators, since `==` tells operands apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from webnn.errors import ValidationError
from webnn.forking import import_lock
from webnn.graph.arguments import number, shown
from webnn.graph.dtypes import FLOATS, DataType, Number, integer_range
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.other_names import FUNCTIONS

if TYPE_CHECKING:
    from webnn.graph.builder import MLGraphBuilder
    from webnn.graph.operand import MLOperand

__all__ = ["Arithmetic"]

_UFUNCS: Final = {
    "absolute": "abs",
    "add": "add",
    "divide": "div",
    "matmul": "matmul",
    "multiply": "mul",
    "negative": "neg",
    "power": "pow",
    "subtract": "sub",
}
"""NumPy's functions behind Python's operators, and the builder's."""


class Arithmetic:
    """The operators of `MLOperand`. The other side is an operand, a number or an array.

    A number becomes a constant of the operand's data type, and must be in its range. An array becomes a constant of its
    own type. `/` is `builder.div`, which truncates the quotients of integers toward zero.
    """

    __slots__ = ()

    def __array_ufunc__(self, function: Any, method: str, *arguments: Any, **options: Any) -> MLOperand:
        """`array * operand` and the like, for which NumPy calls its own function; others are refused."""
        op = _UFUNCS.get(function.__name__)
        if op is None or method != "__call__" or options:
            _not_of_numpy(function)
        return _call(op, next(each for each in arguments if isinstance(each, Arithmetic)), *arguments)

    def __array_function__(self, function: Any, *_: object) -> NoReturn:
        _not_of_numpy(function)

    def _its_builder(self) -> MLGraphBuilder[Any]:
        """The builder that made it."""
        raise NotImplementedError

    def __add__(self, other: Any) -> MLOperand:
        return _call("add", self, self, other)

    def __radd__(self, other: Any) -> MLOperand:
        return _call("add", self, other, self)

    def __sub__(self, other: Any) -> MLOperand:
        return _call("sub", self, self, other)

    def __rsub__(self, other: Any) -> MLOperand:
        return _call("sub", self, other, self)

    def __mul__(self, other: Any) -> MLOperand:
        return _call("mul", self, self, other)

    def __rmul__(self, other: Any) -> MLOperand:
        return _call("mul", self, other, self)

    def __truediv__(self, other: Any) -> MLOperand:
        return _call("div", self, self, other)

    def __rtruediv__(self, other: Any) -> MLOperand:
        return _call("div", self, other, self)

    def __pow__(self, other: Any) -> MLOperand:
        return _call("pow", self, self, other)

    def __rpow__(self, other: Any) -> MLOperand:
        return _call("pow", self, other, self)

    def __matmul__(self, other: Any) -> MLOperand:
        return _call("matmul", self, self, other)

    def __rmatmul__(self, other: Any) -> MLOperand:
        return _call("matmul", self, other, self)

    def __neg__(self) -> MLOperand:
        return _call("neg", self, self)

    def __abs__(self) -> MLOperand:
        return _call("abs", self, self)

    def __getitem__(self: Any, key: Any) -> MLOperand:
        """A part of the operand, by integers, slices, `...` and `None`, as NumPy has them."""
        with import_lock:  # here, since most graphs come from files
            from webnn.graph.indexing import part  # noqa: PLC0415

        return part(self._its_builder(), self, key)

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be iterated over: use builder.split, or x[0], x[1] and so on")

    def __floordiv__(self, other: object) -> NoReturn:
        raise TypeError("operands have no //: write builder.floor(a / b); of integers, a / b is rounded towards 0")

    def __mod__(self, other: object) -> NoReturn:
        raise TypeError("operands have no %: write a - b * builder.floor(a / b); of integers, a - b * (a / b)")

    __rfloordiv__, __rmod__ = __floordiv__, __mod__

    def __lt__(self, other: object) -> NoReturn:
        _not_compared("<", "lesser")

    def __le__(self, other: object) -> NoReturn:
        _not_compared("<=", "lesser_or_equal")

    def __gt__(self, other: object) -> NoReturn:
        _not_compared(">", "greater")

    def __ge__(self, other: object) -> NoReturn:
        _not_compared(">=", "greater_or_equal")


def _call(op: str, operand: Any, *arguments: Any) -> MLOperand:
    """The operator `op` of the builder on `arguments`, of which `operand` is one."""
    builder = operand._its_builder()
    given = []
    for argument in arguments:
        if isinstance(argument, Arithmetic):
            given.append(argument)
            continue
        if isinstance(argument, bool | np.bool_) or not _is_data(argument):
            return NotImplemented  # type: ignore[no-any-return]  # Python asks the other side, or raises TypeError
        try:
            if isinstance(argument, int | float | np.generic):
                given.append(builder.constant(operand.data_type, _in_range(argument, operand.data_type)))
            else:
                given.append(builder.constant(argument))
        except ValidationError as error:
            raise ValidationError(f"{op}: {error}") from None
    result: MLOperand = getattr(builder, op)(*given)
    return result


def _is_data(value: object) -> bool:
    return isinstance(value, int | float | np.generic) or hasattr(value, "__array__") or hasattr(value, "__dlpack__")


def _in_range(value: Any, data_type: DataType) -> Number:
    """`value`, which must be a value of `data_type` if that is an integer type: it is not rounded or clamped."""
    given = number("the number", value)
    if data_type not in FLOATS:
        low, high = integer_range(data_type)
        if not low <= given <= high or given % 1:
            raise ValidationError(
                f"{shown(value)} is not an integer from {low} to {high}, the range of {data_type};"
                " to compute in another type, cast the operand first: builder.cast(x, 'float32')"
            )
    return given


def _not_compared(sign: str, method: str) -> NoReturn:
    raise TypeError(f"operands are not compared by {sign}: use builder.{method}(a, b)")


def _not_of_numpy(function: Any) -> NoReturn:
    name = function.__name__
    ours = FUNCTIONS.get(name, name)
    raise TypeError(
        f"np.{name} computes with arrays, and an operand holds no data: use"
        f" {f'builder.{ours}' if ours in SPEC_LIMITS else 'the methods of the builder'}"
    )
