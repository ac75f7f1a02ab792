"""Comparisons, logic and selection. Truth values are `uint8`: operands are true unless 0, and results are 0 or 1.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical and #api-mlgraphbuilder-where
"""

from typing import Final

from webnn.errors import ValidationError
from webnn.graph.broadcasting import broadcast
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import ALL, FLOATS
from webnn.graph.limits import Limits
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator

__all__ = ["Logic"]

_ANY: Final = Limits(ALL)
_CHECKED: Final = Limits(ALL, required=FLOATS)
_TRUTH: Final = Limits(("uint8",))
_SAME: Final = Limits(same_as="a")


class Logic(Operators):
    """Tests of each element. The results are `uint8`: 1 for true, 0 for false.

    Operators on two operands require the same data type for both and broadcast their shapes together. They raise
    `ValidationError` if the data type is not allowed, or if the shapes do not broadcast.
    """

    def _comparison(self, op: str, a: MLOperand, b: MLOperand, label: str) -> MLOperand:
        descriptor = MLOperandDescriptor("uint8", broadcast(a=a.shape, b=b.shape))
        return self._add(op, {"a": a, "b": b}, descriptor, label=label)

    def _check(self, op: str, a: MLOperand, label: str) -> MLOperand:
        # The limits table allows any data type, the algorithm only these.
        if a.data_type not in FLOATS:
            raise ValidationError(f"a is {a.data_type}, but must be {' or '.join(FLOATS)}")
        return self._add(op, {"a": a}, MLOperandDescriptor("uint8", a.shape), label=label)

    @operator(a=_ANY, b=_SAME, output=_TRUTH)
    def equal(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """1 where `a == b`, else 0. NaN is not equal to anything.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            A `uint8` operand of the broadcast shape.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._comparison("equal", a, b, label)

    @operator(a=_ANY, b=_SAME, output=_TRUTH)
    def not_equal(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """1 where `a != b`, else 0. It is 1 where either is NaN.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            A `uint8` operand of the broadcast shape.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._comparison("not_equal", a, b, label)

    @operator(a=_ANY, b=_SAME, output=_TRUTH)
    def greater(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """1 where `a > b`, else 0. It is 0 where either is NaN.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            A `uint8` operand of the broadcast shape.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._comparison("greater", a, b, label)

    @operator(a=_ANY, b=_SAME, output=_TRUTH)
    def greater_or_equal(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """1 where `a >= b`, else 0. It is 0 where either is NaN.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            A `uint8` operand of the broadcast shape.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._comparison("greater_or_equal", a, b, label)

    @operator(a=_ANY, b=_SAME, output=_TRUTH)
    def lesser(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """1 where `a < b`, else 0. It is 0 where either is NaN.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            A `uint8` operand of the broadcast shape.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._comparison("lesser", a, b, label)

    @operator(a=_ANY, b=_SAME, output=_TRUTH)
    def lesser_or_equal(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """1 where `a <= b`, else 0. It is 0 where either is NaN.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            A `uint8` operand of the broadcast shape.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._comparison("lesser_or_equal", a, b, label)

    @operator(a=_TRUTH, output=_TRUTH)
    def logical_not(self, a: MLOperand, *, label: str = "") -> MLOperand:
        """1 where `a` is 0, else 0.

        Args:
            a: `uint8`, any rank.
            label: shown in errors.

        Returns:
            A `uint8` operand of `a`'s shape.

        Raises:
            ValidationError: the data type of `a` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._add("logical_not", {"a": a}, a.descriptor, label=label)

    @operator(a=_TRUTH, b=_SAME, output=_TRUTH)
    def logical_and(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """1 where neither `a` nor `b` is 0, else 0.

        Args:
            a: `uint8`, any rank; every value except 0 is true.
            b: `uint8`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            A `uint8` operand of the broadcast shape.

        Raises:
            ValidationError: a data type is not `uint8`, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._comparison("logical_and", a, b, label)

    @operator(a=_TRUTH, b=_SAME, output=_TRUTH)
    def logical_or(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """1 where `a` or `b` is not 0, else 0.

        Args:
            a: `uint8`, any rank; every value except 0 is true.
            b: `uint8`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            A `uint8` operand of the broadcast shape.

        Raises:
            ValidationError: a data type is not `uint8`, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._comparison("logical_or", a, b, label)

    @operator(a=_TRUTH, b=_SAME, output=_TRUTH)
    def logical_xor(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """1 where exactly one of `a` and `b` is 0, else 0.

        Args:
            a: `uint8`, any rank; every value except 0 is true.
            b: `uint8`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            A `uint8` operand of the broadcast shape.

        Raises:
            ValidationError: a data type is not `uint8`, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._comparison("logical_xor", a, b, label)

    @operator(a=_CHECKED, output=_TRUTH)
    def is_nan(self, a: MLOperand, *, label: str = "") -> MLOperand:
        """1 where a float `a` is NaN, else 0.

        Args:
            a: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            A `uint8` operand of `a`'s shape.

        Raises:
            ValidationError: the data type of `a` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._check("is_nan", a, label)

    @operator(a=_CHECKED, output=_TRUTH)
    def is_infinite(self, a: MLOperand, *, label: str = "") -> MLOperand:
        """1 where a float `a` is positive or negative infinity, else 0.

        Args:
            a: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            A `uint8` operand of `a`'s shape.

        Raises:
            ValidationError: the data type of `a` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._check("is_infinite", a, label)

    @operator(
        condition=_TRUTH, true_value=_ANY, false_value=Limits(same_as="true_value"), output=Limits(same_as="true_value")
    )
    def where(
        self, condition: MLOperand, true_value: MLOperand, false_value: MLOperand, *, label: str = ""
    ) -> MLOperand:
        """The elements of `true_value` where `condition` is not 0, and of `false_value` where it is 0.

        Args:
            condition: `uint8`, for example the result of a comparison.
            true_value: any data type and rank.
            false_value: same data type as `true_value`. All three shapes are broadcast together.
            label: shown in errors.

        Returns:
            An operand of the broadcast shape and `true_value`'s data type.

        Raises:
            ValidationError: the data types of the values differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-where
        """
        operands = {"condition": condition, "true_value": true_value, "false_value": false_value}
        shape = broadcast(**{name: operand.shape for name, operand in operands.items()})
        return self._add("where", operands, MLOperandDescriptor(true_value.data_type, shape), label=label)
