"""Recurrent networks: GRU and LSTM, over a whole sequence or for one step.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-gru and #api-mlgraphbuilder-lstm
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from webnn.errors import ValidationError
from webnn.graph.arguments import boolean, enum_value, shown, unsigned
from webnn.graph.descriptor import MAX_DIMENSION, MLOperandDescriptor
from webnn.graph.dtypes import FLOATS
from webnn.graph.limits import Limits
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator

__all__ = [
    "MLGruWeightLayout",
    "MLLstmWeightLayout",
    "MLRecurrentNetworkActivation",
    "MLRecurrentNetworkDirection",
    "Recurrent",
]

MLGruWeightLayout: TypeAlias = Literal["zrn", "rzn"]
MLLstmWeightLayout: TypeAlias = Literal["iofg", "ifgo"]
MLRecurrentNetworkActivation: TypeAlias = Literal["relu", "sigmoid", "tanh"]
MLRecurrentNetworkDirection: TypeAlias = Literal["forward", "backward", "both"]

_GRU_LAYOUTS: Final[tuple[MLGruWeightLayout, ...]] = ("zrn", "rzn")
_LSTM_LAYOUTS: Final[tuple[MLLstmWeightLayout, ...]] = ("iofg", "ifgo")
_ACTIVATIONS: Final[tuple[MLRecurrentNetworkActivation, ...]] = ("relu", "sigmoid", "tanh")
_DIRECTIONS: Final[tuple[MLRecurrentNetworkDirection, ...]] = ("forward", "backward", "both")

_GRU_DEFAULT: Final[tuple[MLRecurrentNetworkActivation, ...]] = ("sigmoid", "tanh")
_LSTM_DEFAULT: Final[tuple[MLRecurrentNetworkActivation, ...]] = ("sigmoid", "tanh", "tanh")


class Recurrent(Operators):
    """GRU and LSTM."""

    @operator(
        input=Limits(FLOATS, rank=3),
        weight=Limits(same_as="input", rank=3),
        recurrent_weight=Limits(same_as="input", rank=3),
        bias=Limits(same_as="input", rank=2),
        recurrent_bias=Limits(same_as="input", rank=2),
        initial_hidden_state=Limits(same_as="input", rank=3),
        output0=Limits(same_as="input", rank=3),
        output1=Limits(same_as="input", rank=4),
    )
    def gru(
        self,
        input: MLOperand,
        weight: MLOperand,
        recurrent_weight: MLOperand,
        steps: int,
        hidden_size: int,
        *,
        bias: MLOperand | None = None,
        recurrent_bias: MLOperand | None = None,
        initial_hidden_state: MLOperand | None = None,
        reset_after: bool = True,
        return_sequence: bool = False,
        direction: MLRecurrentNetworkDirection = "forward",
        layout: MLGruWeightLayout = "zrn",
        activations: Sequence[MLRecurrentNetworkActivation] | None = None,
        label: str = "",
    ) -> list[MLOperand]:
        """The hidden state of a gated recurrent unit after the last step and, optionally, after each step.

        Args:
            input: float32 or float16, `[steps, batch, input_size]`.
            weight: `[directions, 3 * hidden_size, input_size]`, the gates in the order of `layout`; `directions` is 2
                if `direction` is `"both"`, else 1. All operands have `input`'s data type.
            recurrent_weight: `[directions, 3 * hidden_size, hidden_size]`, in the same order.
            steps: the length of the sequence, `input`'s first dimension.
            hidden_size: the number of features of the hidden state.
            bias: `[directions, 3 * hidden_size]`, in the same order. Default: zeros.
            recurrent_bias: `[directions, 3 * hidden_size]`, in the same order. Default: zeros.
            initial_hidden_state: `[directions, batch, hidden_size]`. Default: zeros.
            reset_after: whether the reset gate is applied after the product with the recurrent weight, or before it.
            return_sequence: whether to return the hidden state after each step, too.
            direction: `"forward"` from the first step to the last, `"backward"` in reverse, or `"both"`.
            layout: the order of the update (z), reset (r) and new (n) gate in the weights and biases.
            activations: for the update and reset gate, and for the new gate. Default: `"sigmoid"` and `"tanh"`.
            label: shown in errors.

        Returns:
            The last hidden state of each direction, `[directions, batch, hidden_size]`. With `return_sequence`, also
            the hidden state at each step of the input, `[steps, directions, batch, hidden_size]`.

        Raises:
            ValidationError: a shape is not as described above; the data types differ; there are not two activations;
                `6 * hidden_size` is more than 2**31 - 1.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-gru
        """
        batch, input_size = input.shape[1:]
        steps, hidden_size = _steps(steps, input), _hidden_size(hidden_size, 6)
        direction = enum_value("direction", direction, _DIRECTIONS)
        directions = 2 if direction == "both" else 1
        d, b, i = {"directions": directions}, {"batch": batch}, {"input_size": input_size}
        h, g = {"hidden_size": hidden_size}, {"3 * hidden_size": 3 * hidden_size}
        _check_shapes(
            weight=(weight, d | g | i),
            recurrent_weight=(recurrent_weight, d | g | h),
            bias=(bias, d | g),
            recurrent_bias=(recurrent_bias, d | g),
            initial_hidden_state=(initial_hidden_state, d | b | h),
        )
        return_sequence = boolean("return_sequence", return_sequence)
        state = MLOperandDescriptor(input.data_type, (directions, batch, hidden_size))
        return self._add_many(
            "gru",
            {
                "input": input,
                "weight": weight,
                "recurrent_weight": recurrent_weight,
                "bias": bias,
                "recurrent_bias": recurrent_bias,
                "initial_hidden_state": initial_hidden_state,
            },
            [state, *_sequence(state, steps, return_sequence)],
            label=label,
            steps=steps,
            hidden_size=hidden_size,
            reset_after=boolean("reset_after", reset_after),
            return_sequence=return_sequence,
            direction=direction,
            layout=enum_value("layout", layout, _GRU_LAYOUTS),
            activations=_activations(activations, _GRU_DEFAULT),
        )

    @operator(
        input=Limits(FLOATS, rank=2),
        weight=Limits(same_as="input", rank=2),
        recurrent_weight=Limits(same_as="input", rank=2),
        hidden_state=Limits(same_as="input", rank=2),
        bias=Limits(same_as="input", rank=1),
        recurrent_bias=Limits(same_as="input", rank=1),
        output=Limits(same_as="input", rank=2),
    )
    def gru_cell(
        self,
        input: MLOperand,
        weight: MLOperand,
        recurrent_weight: MLOperand,
        hidden_state: MLOperand,
        hidden_size: int,
        *,
        bias: MLOperand | None = None,
        recurrent_bias: MLOperand | None = None,
        reset_after: bool = True,
        layout: MLGruWeightLayout = "zrn",
        activations: Sequence[MLRecurrentNetworkActivation] | None = None,
        label: str = "",
    ) -> MLOperand:
        """The hidden state of a gated recurrent unit after one step.

        Args:
            input: float32 or float16, `[batch, input_size]`.
            weight: `[3 * hidden_size, input_size]`, the gates in the order of `layout`. All operands have `input`'s
                data type.
            recurrent_weight: `[3 * hidden_size, hidden_size]`, in the same order.
            hidden_state: `[batch, hidden_size]`, the state before the step.
            hidden_size: the number of features of the hidden state.
            bias: `[3 * hidden_size]`, in the same order. Default: zeros.
            recurrent_bias: `[3 * hidden_size]`, in the same order. Default: zeros.
            reset_after: whether the reset gate is applied after the product with the recurrent weight, or before it.
            layout: the order of the update (z), reset (r) and new (n) gate in the weights and biases.
            activations: for the update and reset gate, and for the new gate. Default: `"sigmoid"` and `"tanh"`.
            label: shown in errors.

        Returns:
            An operand `[batch, hidden_size]` of `input`'s data type.

        Raises:
            ValidationError: a shape is not as described above; the data types differ; there are not two activations;
                `6 * hidden_size` is more than 2**31 - 1.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-grucell
        """
        batch, input_size = input.shape
        hidden_size = _hidden_size(hidden_size, 6)
        b, i = {"batch": batch}, {"input_size": input_size}
        h, g = {"hidden_size": hidden_size}, {"3 * hidden_size": 3 * hidden_size}
        _check_shapes(
            weight=(weight, g | i),
            recurrent_weight=(recurrent_weight, g | h),
            hidden_state=(hidden_state, b | h),
            bias=(bias, g),
            recurrent_bias=(recurrent_bias, g),
        )
        return self._add(
            "gru_cell",
            {
                "input": input,
                "weight": weight,
                "recurrent_weight": recurrent_weight,
                "hidden_state": hidden_state,
                "bias": bias,
                "recurrent_bias": recurrent_bias,
            },
            MLOperandDescriptor(input.data_type, (batch, hidden_size)),
            label=label,
            hidden_size=hidden_size,
            reset_after=boolean("reset_after", reset_after),
            layout=enum_value("layout", layout, _GRU_LAYOUTS),
            activations=_activations(activations, _GRU_DEFAULT),
        )

    @operator(
        input=Limits(FLOATS, rank=3),
        weight=Limits(same_as="input", rank=3),
        recurrent_weight=Limits(same_as="input", rank=3),
        bias=Limits(same_as="input", rank=2),
        recurrent_bias=Limits(same_as="input", rank=2),
        peephole_weight=Limits(same_as="input", rank=2),
        initial_hidden_state=Limits(same_as="input", rank=3),
        initial_cell_state=Limits(same_as="input", rank=3),
        output0=Limits(same_as="input", rank=3),
        output1=Limits(same_as="input", rank=3),
        output2=Limits(same_as="input", rank=4),
    )
    def lstm(
        self,
        input: MLOperand,
        weight: MLOperand,
        recurrent_weight: MLOperand,
        steps: int,
        hidden_size: int,
        *,
        bias: MLOperand | None = None,
        recurrent_bias: MLOperand | None = None,
        peephole_weight: MLOperand | None = None,
        initial_hidden_state: MLOperand | None = None,
        initial_cell_state: MLOperand | None = None,
        return_sequence: bool = False,
        direction: MLRecurrentNetworkDirection = "forward",
        layout: MLLstmWeightLayout = "iofg",
        activations: Sequence[MLRecurrentNetworkActivation] | None = None,
        label: str = "",
    ) -> list[MLOperand]:
        """The hidden and cell state of a long short-term memory after the last step and, optionally, after each step.

        Args:
            input: float32 or float16, `[steps, batch, input_size]`.
            weight: `[directions, 4 * hidden_size, input_size]`, the gates in the order of `layout`; `directions` is 2
                if `direction` is `"both"`, else 1. All operands have `input`'s data type.
            recurrent_weight: `[directions, 4 * hidden_size, hidden_size]`, in the same order.
            steps: the length of the sequence, `input`'s first dimension.
            hidden_size: the number of features of the hidden and of the cell state.
            bias: `[directions, 4 * hidden_size]`, in the same order. Default: zeros.
            recurrent_bias: `[directions, 4 * hidden_size]`, in the same order. Default: zeros.
            peephole_weight: `[directions, 3 * hidden_size]`, the weights of the previous cell state in the input,
                output and forget gate, in this order for every layout. Default: zeros.
            initial_hidden_state: `[directions, batch, hidden_size]`. Default: zeros.
            initial_cell_state: `[directions, batch, hidden_size]`. Default: zeros.
            return_sequence: whether to return the hidden state after each step, too.
            direction: `"forward"` from the first step to the last, `"backward"` in reverse, or `"both"`.
            layout: the order of the input (i), output (o), forget (f) and cell (g) gate in the weights and biases.
            activations: for the input, output and forget gate; for the cell gate; and for the cell state that enters
                the hidden state. Default: `"sigmoid"`, `"tanh"` and `"tanh"`.
            label: shown in errors.

        Returns:
            The last hidden state and the last cell state of each direction, both `[directions, batch, hidden_size]`.
            With `return_sequence`, also the hidden state at each step of the input,
            `[steps, directions, batch, hidden_size]`.

        Raises:
            ValidationError: a shape is not as described above; the data types differ; there are not three activations;
                `8 * hidden_size` is more than 2**31 - 1.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-lstm
        """
        batch, input_size = input.shape[1:]
        steps, hidden_size = _steps(steps, input), _hidden_size(hidden_size, 8)
        direction = enum_value("direction", direction, _DIRECTIONS)
        directions = 2 if direction == "both" else 1
        d, b, i = {"directions": directions}, {"batch": batch}, {"input_size": input_size}
        h, g = {"hidden_size": hidden_size}, {"4 * hidden_size": 4 * hidden_size}
        p = {"3 * hidden_size": 3 * hidden_size}
        _check_shapes(
            weight=(weight, d | g | i),
            recurrent_weight=(recurrent_weight, d | g | h),
            bias=(bias, d | g),
            recurrent_bias=(recurrent_bias, d | g),
            peephole_weight=(peephole_weight, d | p),
            initial_hidden_state=(initial_hidden_state, d | b | h),
            initial_cell_state=(initial_cell_state, d | b | h),
        )
        return_sequence = boolean("return_sequence", return_sequence)
        state = MLOperandDescriptor(input.data_type, (directions, batch, hidden_size))
        return self._add_many(
            "lstm",
            {
                "input": input,
                "weight": weight,
                "recurrent_weight": recurrent_weight,
                "bias": bias,
                "recurrent_bias": recurrent_bias,
                "peephole_weight": peephole_weight,
                "initial_hidden_state": initial_hidden_state,
                "initial_cell_state": initial_cell_state,
            },
            [state, state, *_sequence(state, steps, return_sequence)],
            label=label,
            steps=steps,
            hidden_size=hidden_size,
            return_sequence=return_sequence,
            direction=direction,
            layout=enum_value("layout", layout, _LSTM_LAYOUTS),
            activations=_activations(activations, _LSTM_DEFAULT),
        )

    @operator(
        input=Limits(FLOATS, rank=2),
        weight=Limits(same_as="input", rank=2),
        recurrent_weight=Limits(same_as="input", rank=2),
        hidden_state=Limits(same_as="input", rank=2),
        cell_state=Limits(same_as="input", rank=2),
        bias=Limits(same_as="input", rank=1),
        recurrent_bias=Limits(same_as="input", rank=1),
        peephole_weight=Limits(same_as="input", rank=1),
        output0=Limits(same_as="input", rank=2),
        output1=Limits(same_as="input", rank=2),
    )
    def lstm_cell(  # noqa: PLR0917 (as many as the IDL has)
        self,
        input: MLOperand,
        weight: MLOperand,
        recurrent_weight: MLOperand,
        hidden_state: MLOperand,
        cell_state: MLOperand,
        hidden_size: int,
        *,
        bias: MLOperand | None = None,
        recurrent_bias: MLOperand | None = None,
        peephole_weight: MLOperand | None = None,
        layout: MLLstmWeightLayout = "iofg",
        activations: Sequence[MLRecurrentNetworkActivation] | None = None,
        label: str = "",
    ) -> list[MLOperand]:
        """The hidden and cell state of a long short-term memory after one step.

        Args:
            input: float32 or float16, `[batch, input_size]`.
            weight: `[4 * hidden_size, input_size]`, the gates in the order of `layout`. All operands have `input`'s
                data type.
            recurrent_weight: `[4 * hidden_size, hidden_size]`, in the same order.
            hidden_state: `[batch, hidden_size]`, the state before the step.
            cell_state: `[batch, hidden_size]`, the state before the step.
            hidden_size: the number of features of the hidden and of the cell state.
            bias: `[4 * hidden_size]`, in the same order. Default: zeros.
            recurrent_bias: `[4 * hidden_size]`, in the same order. Default: zeros.
            peephole_weight: `[3 * hidden_size]`, the weights of `cell_state` in the input, output and forget gate, in
                this order for every layout. Default: zeros.
            layout: the order of the input (i), output (o), forget (f) and cell (g) gate in the weights and biases.
            activations: for the input, output and forget gate; for the cell gate; and for the cell state that enters
                the hidden state. Default: `"sigmoid"`, `"tanh"` and `"tanh"`.
            label: shown in errors.

        Returns:
            The hidden state and the cell state, each `[batch, hidden_size]` and of `input`'s data type.

        Raises:
            ValidationError: a shape is not as described above; the data types differ; there are not three activations;
                `8 * hidden_size` is more than 2**31 - 1.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-lstmcell
        """
        batch, input_size = input.shape
        hidden_size = _hidden_size(hidden_size, 8)
        b, i = {"batch": batch}, {"input_size": input_size}
        h, g = {"hidden_size": hidden_size}, {"4 * hidden_size": 4 * hidden_size}
        p = {"3 * hidden_size": 3 * hidden_size}
        _check_shapes(
            weight=(weight, g | i),
            recurrent_weight=(recurrent_weight, g | h),
            hidden_state=(hidden_state, b | h),
            cell_state=(cell_state, b | h),
            bias=(bias, g),
            recurrent_bias=(recurrent_bias, g),
            peephole_weight=(peephole_weight, p),
        )
        state = MLOperandDescriptor(input.data_type, (batch, hidden_size))
        return self._add_many(
            "lstm_cell",
            {
                "input": input,
                "weight": weight,
                "recurrent_weight": recurrent_weight,
                "hidden_state": hidden_state,
                "cell_state": cell_state,
                "bias": bias,
                "recurrent_bias": recurrent_bias,
                "peephole_weight": peephole_weight,
            },
            [state, state],
            label=label,
            hidden_size=hidden_size,
            layout=enum_value("layout", layout, _LSTM_LAYOUTS),
            activations=_activations(activations, _LSTM_DEFAULT),
        )


def _steps(value: object, input: MLOperand) -> int:
    steps = unsigned("steps", value)
    if steps != input.shape[0]:
        raise ValidationError(
            f"steps must be {input.shape[0]}, the first dimension of input {list(input.shape)}, got {steps}"
        )
    return steps


def _hidden_size(value: object, vectors: int) -> int:
    """The hidden size. Some platforms concatenate `vectors` vectors of this size, for example as the bias."""
    hidden_size = unsigned("hidden_size", value)
    if not 1 <= hidden_size * vectors <= MAX_DIMENSION:
        raise ValidationError(f"hidden_size must be 1 to {MAX_DIMENSION // vectors}, got {hidden_size}")
    return hidden_size


def _check_shapes(**operands: tuple[MLOperand | None, Mapping[str, int]]) -> None:
    """Check the given operands against their dimensions by name."""
    for name, (operand, dimensions) in operands.items():
        if operand is not None and operand.shape != tuple(dimensions.values()):
            raise ValidationError(
                f"{name} {list(operand.shape)} must be {list(dimensions.values())}, [{', '.join(dimensions)}]"
            )


def _activations(
    value: object, default: tuple[MLRecurrentNetworkActivation, ...]
) -> tuple[MLRecurrentNetworkActivation, ...]:
    if value is None:
        return default
    if (
        isinstance(value, str | bytes | Mapping)
        or not isinstance(value, Iterable)
        or getattr(value, "shape", None) == ()
    ):
        raise ValidationError(f"activations must be a sequence of {len(default)} names, got {shown(value)}")
    names = list(value)
    if len(names) != len(default):
        raise ValidationError(f"activations must have {len(default)} names, got {names}")
    return tuple(enum_value(f"activations[{i}]", name, _ACTIVATIONS) for i, name in enumerate(names))


def _sequence(state: MLOperandDescriptor, steps: int, returned: bool) -> list[MLOperandDescriptor]:
    """The descriptor of the states after each step, if they are returned."""
    return [MLOperandDescriptor(state.data_type, (steps, *state.shape))] if returned else []
