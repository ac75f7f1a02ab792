"""Windows, resampling and triangles."""

from __future__ import annotations

from math import inf
from typing import Final

import numpy as np

from docs.ambiguous.case import Case, image

__all__ = ["WINDOWS"]

_AVERAGE: Final = "Calculate the average value for patches of a feature map, and use it to create a pooled feature map."
_MAXIMUM: Final = "Calculate the maximum value for patches of a feature map, and use it to create a pooled feature map."
_NEAREST: Final = "x = ceil(inputCoordinate.x - 0.5)"
_TRIANGLE: Final = (
    "Given a 2-D tensor (matrix), return a 2-D tensor containing either the upper or lower triangular part of the "
    "input tensor."
)

WINDOWS: Final = (
    Case(
        "average-pool-padding",
        "api-mlgraphbuilder-pool2d-average",
        _AVERAGE,
        "Whether padding counts as zeros is not said.",
        lambda b, x: b.average_pool2d(x(image([1, 2], [3, 4])), window_dimensions=[2, 2], padding=[1, 0, 1, 0]),
    ),
    Case(
        "average-pool-symmetric-padding",
        "api-mlgraphbuilder-pool2d-average",
        _AVERAGE,
        "Whether padding counts as zeros is not said.",
        lambda b, x: b.average_pool2d(
            x(image([1, 2, 3], [4, 5, 6], [7, 8, 9])), window_dimensions=[3, 3], padding=[1, 1, 1, 1]
        ),
    ),
    Case(
        "average-pool-beyond-the-end",
        "api-mlgraphbuilder-pool2d",
        "The rounding function used to compute the output shape, depending on whether full or partial window results "
        "are desired.",
        "Whether the part of a window that is beyond the input counts is not said.",
        lambda b, x: b.average_pool2d(
            x(image([1, 2, 3], [4, 5, 6], [7, 8, 9])), window_dimensions=[2, 2], strides=[2, 2], output_sizes=[2, 2]
        ),
    ),
    Case(
        "max-pool-padding",
        "api-mlgraphbuilder-pool2d-max",
        _MAXIMUM,
        "Whether padding counts as zeros is not said.",
        lambda b, x: b.max_pool2d(x(image([-4, -3], [-2, -1])), window_dimensions=[2, 2], padding=[1, 0, 1, 0]),
    ),
    Case(
        "pool-of-padding-alone",
        "api-mlgraphbuilder-pool2d-average",
        _AVERAGE,
        "A window that lies in the padding has no values.",
        lambda b, x: b.average_pool2d(
            x(image([1, 2], [3, 4])), window_dimensions=[1, 1], padding=[1, 1, 1, 1], strides=[1, 1]
        ),
    ),
    Case(
        "transposed-convolution-padding",
        "api-mlgraphbuilder-convtranspose2d",
        "Compute a 2-D transposed convolution given 4-D input and filter tensors",
        "",
        lambda b, x: b.conv_transpose2d(
            x(np.ones((1, 1, 3, 2), np.float32)), b.constant(np.ones((1, 1, 3, 3), np.float32)), padding=[2, 1, 1, 2]
        ),
        decided=True,
    ),
    Case(
        "resample-nearest-half-way",
        "api-mlgraphbuilder-resample2d-method",
        _NEAREST,
        "Half way between two places it is the smaller one.",
        lambda b, x: b.resample2d(x(image([1, 2], [3, 4])), sizes=[3, 3]),
        decided=True,
    ),
    Case(
        "resample-linear-infinity",
        "api-mlgraphbuilder-resample2d-method",
        "vy0 = vx0y0 * (1 - tx) + vx1y0 * tx",
        "0 times infinity is NaN where the formula is followed to the letter.",
        lambda b, x: b.resample2d(x(image([inf, 1, 2])), mode="linear", sizes=[1, 6]),
    ),
    Case(
        "resample-linear-shrinking",
        "api-mlgraphbuilder-resample2d-method",
        "unclampedCoordinate = (outputCoordinate + 0.5) / scale - 0.5",
        "No antialiasing; all other values have no influence.",
        lambda b, x: b.resample2d(x(image([0, 1, 10, 100, 1000, 10000])), mode="linear", sizes=[1, 2]),
        decided=True,
    ),
    Case(
        "triangular-infinity",
        "api-mlgraphbuilder-triangular",
        _TRIANGLE,
        "Outside of the triangle is 0, whatever the input is.",
        lambda b, x: b.triangular(x(np.full((3, 3), -inf, np.float32)), diagonal=1),
        decided=True,
    ),
)
