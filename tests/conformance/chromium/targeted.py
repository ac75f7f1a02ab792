"""Graphs around the rules of `webnn.targets`: what is refused, and forms near to it that are not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from webnn.graph.dtypes import ALL, DataType
from webnn.graph.operand import MLOperand
from webnn.targets.rules import ALLOWANCES, RULES, Example

__all__ = ["TARGETED"]


def _with(make: Callable[..., MLOperand], **values: Any) -> Example:
    """The example that `make` gives with these values, which loops go on to change."""
    return lambda b, x: make(b, x, **values)


def _ones(*shape: int, dtype: Any = "float32") -> Any:
    return np.ones(shape, dtype)


def _places(*shape: int) -> Any:
    return np.zeros(shape, np.int32)


def _of_types() -> Iterator[tuple[str, Example]]:
    for data_type in ALL:
        yield from _of_type(data_type)


def _of_type(t: DataType) -> Iterator[tuple[str, Example]]:
    yield f"slice of a {t} scalar", lambda b, x: b.slice(x(_ones(dtype=t)), [], [])
    yield f"concat of {t}", lambda b, x: b.concat([x(_ones(3, dtype=t)), x(_ones(3, dtype=t))], 0)
    yield f"scatterND of {t}", lambda b, x: b.scatter_nd(x(_ones(3, dtype=t)), x(_places(1, 1)), x(_ones(1, dtype=t)))
    yield (
        f"scatterElements of {t}",
        lambda b, x: b.scatter_elements(x(_ones(3, dtype=t)), b.constant(_places(1)), x(_ones(1, dtype=t))),
    )
    yield f"gatherND of a {t} scalar", lambda b, x: b.gather_nd(x(_ones(2, 2, dtype=t)), x(_places(2)))
    yield f"notEqual of {t}", lambda b, x: b.not_equal(x(_ones(2, dtype=t)), x(_ones(2, dtype=t)))


def _of_ranks() -> Iterator[tuple[str, Example]]:
    for rank in range(4, 9):
        shape = (2,) * rank
        yield f"concat of rank {rank}", _with(lambda b, x, s: b.concat([x(_ones(*s)), x(_ones(*s))], 1), s=shape)
        yield f"concat of one of rank {rank}", _with(lambda b, x, s: b.concat([x(_ones(*s))], 1), s=shape)
        yield f"max of rank {rank}", _with(lambda b, x, s: b.max(x(_ones(*s)), x(_ones(*s))), s=shape)
        yield f"equal of rank {rank}", _with(lambda b, x, s: b.equal(x(_ones(*s)), x(_ones(*s))), s=shape)
        for axes in ([0], [1, 3], list(range(rank - 1)), list(range(rank)), []):
            yield (
                f"reduceSum of rank {rank} along {axes}",
                _with(lambda b, x, s, a: b.reduce_sum(x(_ones(*s)), axes=a), s=shape, a=axes),
            )
        yield f"reduceProduct of rank {rank}", _with(lambda b, x, s: b.reduce_product(x(_ones(*s)), axes=[0]), s=shape)
    for rank in range(1, 6):
        indices = (1,) * (rank - 1) + (2,)
        yield (
            f"gather with indices of rank {rank}",
            _with(lambda b, x, s: b.gather(x(_ones(3, 2)), x(_places(*s))), s=indices),
        )


def _of_windows() -> Iterator[tuple[str, Example]]:
    image = _ones(1, 2, 4, 5)
    for padding in ([0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1], [1, 0, 1, 0], [2, 2, 2, 2], [0, 0, 1, 1]):
        for strides, kernel in (([1, 1], 3), ([2, 2], 3), ([2, 2], 2), ([2, 2], 1), ([3, 2], 3)):
            for constant in (False, True):
                yield (
                    f"convTranspose2d of {kernel}{' constant' * constant}, padding {padding}, strides {strides}",
                    _with(
                        lambda b, x, p, s, k, c: b.conv_transpose2d(
                            x(image), (b.constant if c else x)(_ones(2, 1, k, k)), padding=p, strides=s
                        ),
                        p=padding,
                        s=strides,
                        k=kernel,
                        c=constant,
                    ),
                )
    for groups, dilations in ((2, [1, 1]), (1, [2, 1]), (2, [2, 2])):
        yield (
            f"convTranspose2d with {groups} groups and dilations {dilations}",
            _with(
                lambda b, x, g, d: b.conv_transpose2d(x(image), x(_ones(2, 1, 2, 2)), groups=g, dilations=d),
                g=groups,
                d=dilations,
            ),
        )
    for op, dilations in itertools.product(("average_pool2d", "l2_pool2d", "max_pool2d"), ([1, 1], [1, 2])):
        for more in ({}, {"padding": [1, 0, 1, 0]}, {"strides": [2, 2], "output_sizes": [2, 2]}):
            yield (
                f"{op} with dilations {dilations} and {more}",
                _with(
                    lambda b, x, o, d, m: (
                        getattr(b, o)(x(_ones(1, 1, 4, 4)), window_dimensions=[2, 2], dilations=d, **m)
                        if d == [1, 1] or "output_sizes" not in m
                        else getattr(b, o)(x(_ones(1, 1, 4, 4)), window_dimensions=[2, 2], dilations=d)
                    ),
                    o=op,
                    d=dilations,
                    m=more,
                ),
            )


def _of_others() -> Iterator[tuple[str, Example]]:
    for mode in ("constant", "edge", "reflection"):
        for size in (0, 1):
            yield (
                f"pad by {size} in mode {mode}",
                _with(lambda b, x, m, n: b.pad(x(_ones(3)), [n], [n], mode=m), m=mode, n=size),
            )
    for given, slope in (((), (1,)), ((2,), (1, 2)), ((1, 2), (2,)), ((2, 2), (1,)), ((1,), (2,)), ((2, 1), (1, 2))):
        yield (
            f"prelu of {given} by {slope}",
            _with(lambda b, x, g, s: b.prelu(x(_ones(*g)), x(_ones(*s))), g=given, s=slope),
        )
    for size, stride in itertools.product((1, 2, 3), (1, 2, 3)):
        yield (
            f"slice of {size} with a stride of {stride}",
            _with(lambda b, x, n, s: b.slice(x(_ones(3, 3)), [0, 0], [n, n], strides=[s, 1]), n=size, s=stride),
        )
    for beta, c in itertools.product((0.0, 0.5), ((), (2,), (2, 2))):
        yield (
            f"gemm with c {c} and a beta of {beta}",
            _with(
                lambda b, x, beta, c: b.gemm(x(_ones(2, 2)), x(_ones(2, 2)), c=x(_ones(*c)), beta=beta), beta=beta, c=c
            ),
        )
    for scale, count in itertools.product((-1.0, 0.0, 0.5), (1, 2)):
        yield (
            f"dequantizeLinear by {count} scales of {scale}",
            _with(
                lambda b, x, s, n: b.dequantize_linear(
                    x(_ones(2, dtype="int8")), b.constant(np.full(n, s, np.float32)), b.constant(np.zeros(n, np.int8))
                ),
                s=scale,
                n=count,
            ),
        )
    for constant in (True, False):
        yield (
            f"gatherElements with indices that are {'' if constant else 'not '}constant",
            _with(
                lambda b, x, c: b.gather_elements(x(_ones(2, 3)), (b.constant if c else x)(_places(1, 3))), c=constant
            ),
        )


def _all() -> Iterator[tuple[str, Example]]:
    for name, rule in RULES.items():
        yield from ((f"{name}, refused {i}", example) for i, example in enumerate(rule.refused))
        yield from ((f"{name}, accepted {i}", example) for i, example in enumerate(rule.accepted))
    for name, allowance in ALLOWANCES.items():
        yield from ((f"{name} {i}", example) for i, example in enumerate(allowance.examples))
    for graphs in (_of_types(), _of_ranks(), _of_windows(), _of_others()):
        yield from graphs


TARGETED: Final[dict[str, Example]] = dict(_all())
"""By what they are about."""
