"""Matrix products.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-gemm and #api-mlgraphbuilder-matmul
"""

from webnn.errors import ValidationError
from webnn.graph.arguments import boolean, double
from webnn.graph.broadcasting import bidirectional, is_unidirectional
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import FLOATS, cast_number
from webnn.graph.limits import Limits, N
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator

__all__ = ["Matrix"]


class Matrix(Operators):
    """Matrix products."""

    @operator(
        a=Limits(FLOATS, rank=2),
        b=Limits(same_as="a", rank=2),
        c=Limits(same_as="a", rank=(0, 2)),
        output=Limits(same_as="a", rank=2),
    )
    def gemm(
        self,
        a: MLOperand,
        b: MLOperand,
        *,
        c: MLOperand | None = None,
        alpha: float = 1.0,
        beta: float = 1.0,
        a_transpose: bool = False,
        b_transpose: bool = False,
        label: str = "",
    ) -> MLOperand:
        """`alpha * a @ b + beta * c`, the general matrix multiplication of BLAS.

        Args:
            a: float32 or float16, `[m, k]`, or `[k, m]` with `a_transpose`.
            b: same data type as `a`, `[k, n]`, or `[n, k]` with `b_transpose`.
            c: same data type as `a`, and a shape that broadcasts to `[m, n]`. Default: nothing is added.
            alpha: the factor of the product, finite; it is rounded to `a`'s data type.
            beta: the factor of `c`, finite; it is rounded to `a`'s data type.
            a_transpose: transpose `a` first.
            b_transpose: transpose `b` first.
            label: shown in errors.

        Returns:
            An operand `[m, n]` of `a`'s data type.

        Raises:
            ValidationError: the inner dimensions differ; `c` does not broadcast to `[m, n]`; a data type or rank is not
                allowed; `alpha` or `beta` is not finite.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-gemm
        """
        alpha = cast_number(double("alpha", alpha), a.data_type)
        beta = cast_number(double("beta", beta), a.data_type)
        a_transpose = boolean("a_transpose", a_transpose)
        b_transpose = boolean("b_transpose", b_transpose)
        m, k = reversed(a.shape) if a_transpose else a.shape
        rows, n = reversed(b.shape) if b_transpose else b.shape
        if k != rows:
            first = f"a {list(a.shape)}{' transposed' if a_transpose else ''}"
            second = f"b {list(b.shape)}{' transposed' if b_transpose else ''}"
            raise ValidationError(f"{first} has {k} columns, but {second} has {rows} rows; they must be equal")
        if c is not None and not is_unidirectional(c.shape, (m, n)):
            raise ValidationError(f"c {list(c.shape)} does not broadcast to the product's shape {[m, n]}")
        return self._add(
            "gemm",
            {"a": a, "b": b, "c": c},
            MLOperandDescriptor(a.data_type, (m, n)),
            label=label,
            alpha=alpha,
            beta=beta,
            a_transpose=a_transpose,
            b_transpose=b_transpose,
        )

    @operator(
        a=Limits(FLOATS, rank=(2, N)), b=Limits(same_as="a", rank=(2, N)), output=Limits(same_as="a", rank=(2, N))
    )
    def matmul(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """The matrix product. With more than two dimensions, it multiplies stacks of matrices.

        Args:
            a: float32 or float16, `[..., m, k]`.
            b: same data type as `a`, `[..., k, n]`. The dimensions of both before the last two are broadcast together.
            label: shown in errors.

        Returns:
            An operand `[..., m, n]` of `a`'s data type.

        Raises:
            ValidationError: the inner dimensions differ; the other dimensions do not broadcast; the data types differ.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-matmul
        """
        *stack_a, rows, columns = a.shape
        *stack_b, rows_b, columns_b = b.shape
        if columns != rows_b:
            raise ValidationError(
                f"a {list(a.shape)} has {columns} columns, but b {list(b.shape)} has {rows_b} rows; they must be equal"
            )
        stack = bidirectional(tuple(stack_a), tuple(stack_b))
        if stack is None:
            raise ValidationError(
                f"a {list(a.shape)} and b {list(b.shape)} cannot be broadcast together before the last two dimensions"
            )
        shape = (*stack, rows, columns_b)
        return self._add("matmul", {"a": a, "b": b}, MLOperandDescriptor(a.data_type, shape), label=label)
