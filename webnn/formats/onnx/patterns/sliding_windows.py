"""Windows that slide over the spatial axes of an input, as ONNX describes them for convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.graph.quick_dataclass import dataclass

__all__ = ["Windows", "WindowsOfImages", "pair"]


class WindowsOfImages(TypedDict):
    """The options of a convolution over two axes."""

    padding: list[int]
    strides: list[int]
    dilations: list[int]


def pair(values: list[int], missing: int) -> list[int]:
    """The last two of `values`, with `missing` in front of a single one."""
    return [missing, *values][-2:]


@dataclass(slots=True)
class Windows:
    """One entry per spatial axis in each list."""

    sizes: list[int]
    """The sizes of the input."""
    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    before: list[int]
    """The padding at the beginning of each axis; a negative number removes elements."""
    after: list[int]

    @classmethod
    def of(cls, node: OnnxNode, shape: Sequence[int], kernel: Sequence[int]) -> Windows:
        """The windows of `kernel` that the attributes of `node` put over an input of `shape`."""
        sizes = list(shape[2:])
        count = len(sizes)
        if count == 0 or len(kernel) != count:
            raise DataError(
                f"a kernel {list(kernel)} does not fit an input {list(shape)}, which has {count} spatial axes"
            )
        strides = node.get_ints("strides", [1] * count)
        dilations = node.get_ints("dilations", [1] * count)
        pads = node.get_ints("pads", [0] * (2 * count))
        if len(strides) != count or len(dilations) != count or len(pads) != 2 * count:
            raise DataError(f"strides {strides}, dilations {dilations} and pads {pads} do not fit {count} spatial axes")
        if min(*strides, *dilations, *kernel) < 1:
            raise DataError(f"kernel {list(kernel)}, strides {strides} and dilations {dilations} must be at least 1")
        return cls(sizes, list(kernel), strides, dilations, pads[:count], pads[count:])

    @property
    def spans(self) -> list[int]:
        """The extent of the window along each axis, with its dilation."""
        return [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]

    def pad_automatically(self, auto_pad: str) -> None:
        """Set the padding for `auto_pad`: the output is the input divided by the strides, rounded up."""
        if auto_pad == "NOTSET":
            return
        if auto_pad == "VALID":
            self.before = self.after = [0] * len(self.sizes)
            return
        totals = [
            max((-(-size // stride) - 1) * stride + span - size, 0)
            for size, stride, span in zip(self.sizes, self.strides, self.spans, strict=True)
        ]
        self.share_padding(totals, lower=_is_lower(auto_pad))

    def share_padding(self, totals: Sequence[int], *, lower: bool) -> None:
        """Share `totals` between both ends; an odd element goes to the beginning if `lower`, else to the end."""
        small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
        self.before, self.after = (large, small) if lower else (small, large)

    @property
    def of_images(self) -> WindowsOfImages:
        """The options of `conv2d` over the last two axes, or over a single one as the second of two."""
        (top, left), (bottom, right) = pair(self.before, 0), pair(self.after, 0)
        return {
            "padding": [top, bottom, left, right],
            "strides": pair(self.strides, 1),
            "dilations": pair(self.dilations, 1),
        }

    def counts(self, *, ceil: bool) -> list[int]:
        """The number of windows along each axis.

        With `ceil`, a window may reach over the end if it begins inside the input or the padding before it.
        """
        result = []
        for size, span, stride, before, after in zip(
            self.sizes, self.spans, self.strides, self.before, self.after, strict=True
        ):
            room = size + before + after - span
            count = (-(-room // stride) if ceil else room // stride) + 1
            if ceil and (count - 1) * stride >= size + before:
                count -= 1
            if (room < 0 and not ceil) or count < 1:
                raise DataError(f"a window of {span} does not fit into {size} with padding of {before} and {after}")
            result.append(count)
        return result

    def fit(self, *, ceil: bool) -> list[int]:
        """The number of windows along each axis. Pads the end so far that rounding down gives it on every axis.

        Only for operators that ignore padding or take it as zeros. Along each axis `ceil` may add a window or not.
        """
        counts = self.counts(ceil=ceil)
        after = list(self.after)
        for axis, (count, span, stride) in enumerate(zip(counts, self.spans, self.strides, strict=True)):
            missing = (count - 1) * stride + span - self.sizes[axis] - self.before[axis] - after[axis]
            after[axis] += max(missing, 0)
        self.after = after
        return counts


def _is_lower(auto_pad: str) -> bool:
    if auto_pad not in {"SAME_UPPER", "SAME_LOWER"}:
        raise DataError(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, got {auto_pad!r}")
    return auto_pad == "SAME_LOWER"
