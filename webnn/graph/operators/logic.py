"""Comparisons, logic and selection. Truth values are `uint8`: any but 0 is true in, and 1 is true out.

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
    """Questions about each element, answered with `uint8`: 0 is false and 1 is true.

    The operators of two operands take the same data type for both and broadcast their shapes to each other. All raise
    `ValidationError` for other data types, and for shapes that do not broadcast.
    """

    def _comparison(self, op: str, a: MLOperand, b: MLOperand, label: str) -> MLOperand:
        descriptor = MLOperandDescriptor("uint8", broadcast(a=a.shape, b=b.shape))
        return self._add(op, {"a": a, "b": b}, descriptor, label=label)

    def _check(self, op: str, a: MLOperand, label: str) -> MLOperand:
        # The table of limits allows any type, the algorithm only these.
        if a.data_type not in FLOATS:
            raise ValidationError(f"a is {a.data_type}, but must be {' or '.join(FLOATS)}")
        return self._add(op, {"a": a}, MLOperandDescriptor("uint8", a.shape), label=label)

    @operator(a=_ANY, b=_SAME, output=_TRUTH)
    def equal(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """Where `a == b`. NaN is equal to nothing.

        Args:
            a: any data type and rank.
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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
        """Where `a != b`. True where either is NaN.

        Args:
            a: any data type and rank.
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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
        """Where `a > b`. False where either is NaN.

        Args:
            a: any data type and rank.
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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
        """Where `a >= b`. False where either is NaN.

        Args:
            a: any data type and rank.
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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
        """Where `a < b`. False where either is NaN.

        Args:
            a: any data type and rank.
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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
        """Where `a <= b`. False where either is NaN.

        Args:
            a: any data type and rank.
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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
        """Where `a`, a `uint8` operand, is 0.

        Args:
            a: `uint8`, any rank.
            label: shown in errors.

        Returns:
            A `uint8` operand of `a`'s shape.

        Raises:
            ValidationError: `a` is of another data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._add("logical_not", {"a": a}, a.descriptor, label=label)

    @operator(a=_TRUTH, b=_SAME, output=_TRUTH)
    def logical_and(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """Where neither of `a` and `b`, which are `uint8`, is 0.

        Args:
            a: `uint8`, any rank; every value but 0 is true.
            b: `uint8`; its shape and `a`'s broadcast to each other.
            label: shown in errors.

        Returns:
            A `uint8` operand of the broadcast shape.

        Raises:
            ValidationError: another data type, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._comparison("logical_and", a, b, label)

    @operator(a=_TRUTH, b=_SAME, output=_TRUTH)
    def logical_or(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """Where not both of `a` and `b`, which are `uint8`, are 0.

        Args:
            a: `uint8`, any rank; every value but 0 is true.
            b: `uint8`; its shape and `a`'s broadcast to each other.
            label: shown in errors.

        Returns:
            A `uint8` operand of the broadcast shape.

        Raises:
            ValidationError: another data type, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._comparison("logical_or", a, b, label)

    @operator(a=_TRUTH, b=_SAME, output=_TRUTH)
    def logical_xor(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """Where exactly one of `a` and `b`, which are `uint8`, is 0.

        Args:
            a: `uint8`, any rank; every value but 0 is true.
            b: `uint8`; its shape and `a`'s broadcast to each other.
            label: shown in errors.

        Returns:
            A `uint8` operand of the broadcast shape.

        Raises:
            ValidationError: another data type, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._comparison("logical_xor", a, b, label)

    @operator(a=_CHECKED, output=_TRUTH)
    def is_nan(self, a: MLOperand, *, label: str = "") -> MLOperand:
        """Where `a`, a float operand, is NaN.

        Args:
            a: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            A `uint8` operand of `a`'s shape.

        Raises:
            ValidationError: `a` is of another data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._check("is_nan", a, label)

    @operator(a=_CHECKED, output=_TRUTH)
    def is_infinite(self, a: MLOperand, *, label: str = "") -> MLOperand:
        """Where `a`, a float operand, is infinite, with either sign.

        Args:
            a: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            A `uint8` operand of `a`'s shape.

        Raises:
            ValidationError: `a` is of another data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-logical
        """
        return self._check("is_infinite", a, label)

    @operator(
        condition=_TRUTH, true_value=_ANY, false_value=Limits(same_as="true_value"), output=Limits(same_as="true_value")
    )
    def where(
        self, condition: MLOperand, true_value: MLOperand, false_value: MLOperand, *, label: str = ""
    ) -> MLOperand:
        """`true_value` where `condition` is not 0, and `false_value` where it is.

        Args:
            condition: `uint8`, such as the comparisons give.
            true_value: any data type and rank.
            false_value: same data type as `true_value`. All three shapes broadcast to each other.
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
