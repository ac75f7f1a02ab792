"""Windows that slide over the height and width of a tensor, shared by convolution and pooling.

Spec: https://www.w3.org/TR/webnn/#mlgraphbuilder-calculate-conv-output-size
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from webnn.errors import ValidationError
from webnn.graph.arguments import unsigned_list
from webnn.graph.descriptor import MAX_DIMENSION

__all__ = [
    "MLInputOperandLayout",
    "Sweep",
    "check_output_sizes",
    "pair",
    "permutation",
    "positive_pair",
    "sweeps",
    "window_padding",
]

MLInputOperandLayout: TypeAlias = Literal["nchw", "nhwc"]


@cache
def permutation(source: str, target: str) -> tuple[int, ...]:
    """The permutation from one layout to another, for `Transpose` and `permute_dims`.

    >>> permutation("nhwc", "nchw")
    (0, 3, 1, 2)
    """
    return tuple(source.index(axis) for axis in target)


def pair(name: str, value: object, default: tuple[int, int]) -> tuple[int, int]:
    """An option for height and width, or `default` if it is None."""
    if value is None:
        return default
    height, width = unsigned_list(name, value, length=2)
    return height, width


def positive_pair(name: str, value: object, default: tuple[int, int]) -> tuple[int, int]:
    """An option for height and width, which must both be at least 1."""
    result = pair(name, value, default)
    if 0 in result:
        raise ValidationError(f"{name} must be at least 1, got {list(result)}")
    return result


def window_padding(value: object) -> tuple[int, ...]:
    """The `padding` option: beginning and ending of the height, then of the width; zeros if it is None."""
    return (0, 0, 0, 0) if value is None else unsigned_list("padding", value, length=4)


def check_output_sizes(sizes: tuple[int, int], derivation: Callable[[], str]) -> None:
    """Check that both are valid dimensions. `derivation()` describes how they were computed, for the message."""
    for axis, size in zip(("height", "width"), sizes, strict=True):
        if not 1 <= size <= MAX_DIMENSION:
            raise ValidationError(
                f"the output {axis} would be {size}, but must be 1 to {MAX_DIMENSION}: {derivation()}"
            )


class Sweep(NamedTuple):
    """The windows along one axis: output `o` reads the inputs `o * stride + tap * dilation - begin`.

    Inputs below 0 or at least `input` are padding.
    """

    input: int
    window: int
    begin: int
    end: int
    stride: int
    dilation: int

    @property
    def span(self) -> int:
        """The effective size of the window: from its first tap to its last."""
        return (self.window - 1) * self.dilation + 1

    @property
    def floor_size(self) -> int:
        """The number of whole windows; 0 or negative if there is none."""
        return (self.input - self.span + self.begin + self.end) // self.stride + 1

    @property
    def ceil_size(self) -> int:
        """The number of windows if the last one may be partial."""
        return -((self.span - self.input - self.begin - self.end) // self.stride) + 1

    @property
    def transposed_size(self) -> int:
        """The number of values that the transposed sweep writes, which spreads each input over a window."""
        return (self.input - 1) * self.stride + self.span - self.begin - self.end

    def trimmed(self, outputs: int) -> tuple[range, Sweep]:
        """The windows that reach the data, at least one, and their sweep without unused taps and padding.

        The `end` of that sweep is exact. It is negative if the last values of the input are not in any window.
        """
        last = min(outputs - 1, (self.begin + self.input - 1) // self.stride)
        first = max(0, (self.begin - self.span) // self.stride + 1)
        if first > last:  # no window does: take one on the padding before the data
            return range(last, last + 1), Sweep(self.input, 1, 1, 0, self.input + 1, 1)
        begin = self.begin - first * self.stride
        way = (last - first) * self.stride
        data_end = begin + self.input - 1
        last_tap = min(self.window - 1, max(data_end // self.dilation, -((way - data_end) // self.dilation)))
        first_tap = max(0, min(-((way - begin) // self.dilation), begin // self.dilation))
        begin -= first_tap * self.dilation
        end = way + (last_tap - first_tap) * self.dilation + 1 - begin - self.input
        return range(first, last + 1), Sweep(
            self.input, last_tap - first_tap + 1, begin, end, self.stride, self.dilation
        )

    def counts(self, outputs: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """How many values of the input each of so many windows holds, the padding left out."""
        starts = self.begin - np.arange(outputs, dtype=np.int64) * self.stride
        last = np.minimum(self.window - 1, (starts + self.input - 1) // self.dilation)
        first = np.maximum(0, -(-starts // self.dilation))
        counts: np.ndarray[Any, np.dtype[np.int64]] = np.maximum(0, last - first + 1)
        return counts

    def taps(self, outputs: int, inputs: int) -> Iterator[tuple[int, slice, slice]]:
        """Each tap that reaches the data, with the outputs that read through it and the inputs that they read.

        In a transposed sweep the roles are exchanged: the inputs are written through the tap to the outputs.
        """
        first = max(0, -(((outputs - 1) * self.stride - self.begin) // self.dilation))
        last = min(self.window - 1, (inputs - 1 + self.begin) // self.dilation)
        for tap in range(first, last + 1):
            offset = tap * self.dilation - self.begin
            low = max(0, -(offset // self.stride))
            high = min(outputs, -((offset - inputs) // self.stride))
            if low < high:
                read = slice(low * self.stride + offset, (high - 1) * self.stride + offset + 1, self.stride)
                yield tap, slice(low, high), read


def sweeps(
    inputs: Sequence[int],
    window: Sequence[int],
    padding: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[Sweep, Sweep]:
    """The sweeps along height and width."""
    height, width = (
        Sweep(inputs[i], window[i], padding[2 * i], padding[2 * i + 1], strides[i], dilations[i]) for i in (0, 1)
    )
    return height, width
