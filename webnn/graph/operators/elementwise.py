"""Element-wise arithmetic: one value in, or two that broadcast, one value out.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-binary and #api-mlgraphbuilder-unary
"""

from webnn.errors import ValidationError
from webnn.graph.broadcasting import bidirectional
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import ALL
from webnn.graph.limits import Limits
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator

__all__ = ["Elementwise"]


class Elementwise(Operators):
    """Arithmetic, element by element."""

    def _binary(self, op: str, a: MLOperand, b: MLOperand, label: str) -> MLOperand:
        shape = bidirectional(a.shape, b.shape)
        if shape is None:
            raise ValidationError(f"a {list(a.shape)} and b {list(b.shape)} cannot be broadcast together")
        return self._add(op, {"a": a, "b": b}, MLOperandDescriptor(a.data_type, shape), label=label)

    @operator(a=Limits(ALL), b=Limits(same_as="a"), output=Limits(same_as="a"))
    def add(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """`a + b`, element by element.

        Args:
            a: any data type and rank.
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
            label: shown in errors.

        Returns:
            An operand of the broadcast shape and `a`'s data type. Integers wrap around.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-binary
        """
        return self._binary("add", a, b, label)
