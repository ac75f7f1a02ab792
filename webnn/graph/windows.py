"""Windows that slide over the height and width of a tensor: what convolution and pooling share.

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
    """The transposition from one layout to another, for `Transpose` and `permute_dims`.

    >>> permutation("nhwc", "nchw")
    (0, 3, 1, 2)
    """
    return tuple(source.index(axis) for axis in target)


def pair(name: str, value: object, default: tuple[int, int]) -> tuple[int, int]:
    """An option for height and width; `default` where it is None."""
    if value is None:
        return default
    height, width = unsigned_list(name, value, length=2)
    return height, width


def positive_pair(name: str, value: object, default: tuple[int, int]) -> tuple[int, int]:
    """An option for height and width, neither of which may be 0."""
    result = pair(name, value, default)
    if 0 in result:
        raise ValidationError(f"{name} must be at least 1, got {list(result)}")
    return result


def window_padding(value: object) -> tuple[int, ...]:
    """The `padding` option: beginning and ending of the height, then of the width; 0 where it is None."""
    return (0, 0, 0, 0) if value is None else unsigned_list("padding", value, length=4)


def check_output_sizes(sizes: tuple[int, int], derivation: Callable[[], str]) -> None:
    """Check that both are valid dimensions; `derivation()` says what they come from."""
    for axis, size in zip(("height", "width"), sizes, strict=True):
        if not 1 <= size <= MAX_DIMENSION:
            raise ValidationError(
                f"the output {axis} would be {size}, which is not in 1 to {MAX_DIMENSION}: {derivation()}"
            )


class Sweep(NamedTuple):
    """A window's way along one axis of the input: output `o` reads the inputs `o * stride + tap * dilation - begin`.

    Inputs below 0, or from `input` on, are padding.
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
        """How many whole windows there are; 0 or less if there is none."""
        return (self.input - self.span + self.begin + self.end) // self.stride + 1

    @property
    def ceil_size(self) -> int:
        """How many windows there are if the last may be partial."""
        return -((self.span - self.input - self.begin - self.end) // self.stride) + 1

    @property
    def transposed_size(self) -> int:
        """How many values the transposed sweep writes, where each of the inputs is spread over a window."""
        return (self.input - 1) * self.stride + self.span - self.begin - self.end

    def trimmed(self, outputs: int) -> tuple[range, Sweep]:
        """Those of so many windows that reach the data, at least one, and their sweep without useless taps or padding.

        `end` is then exact: below 0 where the last values of the input are in no window.
        """
        last = min(outputs - 1, (self.begin + self.input - 1) // self.stride)
        first = max(0, (self.begin - self.span) // self.stride + 1)
        if first > last:  # none does; this one lies on the padding before the data
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
        """Each tap that meets the data: its number, the outputs that read through it, the inputs that they read.

        A transposed sweep is the same with the names exchanged: its inputs are written through the tap to its outputs.
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
