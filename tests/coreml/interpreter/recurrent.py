"""Operators of `recurrent.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from tests.coreml.interpreter.activation import sigmoid
from tests.coreml.interpreter.datatypes import Array, wide
from tests.coreml.interpreter.signatures import FLOAT, UndocumentedError, operator, require

_ACTIVATIONS: Final[dict[str, Callable[[Array], Array]]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "linear": lambda x: x,
}
_UNDOCUMENTED: Final = ("hard_sigmoid", "sigmoid_hard", "scaled_tanh")


def _activation(name: str) -> Callable[[Array], Array]:
    if name in _UNDOCUMENTED:
        raise UndocumentedError(f"the parameters of {name}")
    require(name in _ACTIVATIONS, f"there is no activation {name}")
    return _ACTIVATIONS[name]


def _check(x: Array, states: list[Array], *, weight_ih: Array, weight_hh: Array, bias: Array | None, gates: int) -> int:
    """The number of hidden units, after the shapes were compared."""
    require(x.ndim == 3, f"x has the rank {x.ndim}, not 3")
    require(weight_hh.ndim == 2, "weight_hh is no matrix")
    size = int(weight_hh.shape[1])
    require(weight_ih.shape == (gates * size, x.shape[2]), f"weight_ih {weight_ih.shape} for x {x.shape}")
    require(weight_hh.shape == (gates * size, size), f"weight_hh {weight_hh.shape}")
    require(bias is None or bias.shape == (gates * size,), "the size of bias")
    for state in states:
        require(state.shape == (x.shape[1], size), f"a state {state.shape}, not {(x.shape[1], size)}")
    return size


def _sequence(steps: list[Array], direction: str, output_sequence: bool, last: Array) -> Array:
    """All hidden states in the order of time, or the last one as a sequence of one."""
    if not output_sequence:
        return last[None]
    return np.stack(steps[::-1] if direction == "reverse" else steps)


def _times(x: Array, direction: str) -> Array:
    require(direction in ("forward", "reverse"), f"there is no direction {direction}")
    return wide(x)[::-1] if direction == "reverse" else wide(x)


@operator(
    "gru(x: T, initial_h: T, weight_ih: const T[*], weight_hh: const T[*], bias: const T[] = None,"
    " direction: const string = 'forward', output_sequence: const bool = False,"
    " recurrent_activation: const string = 'sigmoid', activation: const string = 'tanh') -> T",
    T=FLOAT,
)
def gru(
    x: Array,
    *,
    initial_h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Array | None,
    direction: str,
    output_sequence: bool,
    recurrent_activation: str,
    activation: str,
) -> list[Array]:
    size = _check(x, [initial_h], weight_ih=weight_ih, weight_hh=weight_hh, bias=bias, gates=3)
    gate, new = _activation(recurrent_activation), _activation(activation)
    w_r, w_o, w_z = np.split(wide(weight_ih), 3)
    u_r, u_o, u_z = np.split(wide(weight_hh), 3)
    b_r, b_o, b_z = np.split(np.zeros(3 * size) if bias is None else wide(bias), 3)
    h, steps = wide(initial_h), []
    for x_t in _times(x, direction):
        r = gate(x_t @ w_r.T + h @ u_r.T + b_r)
        z = gate(x_t @ w_z.T + h @ u_z.T + b_z)
        o = new(x_t @ w_o.T + r * (h @ u_o.T) + b_o)
        h = (1 - z) * o + z * h
        steps.append(h)
    return [_sequence(steps, direction, output_sequence, h), h]


@operator(
    "rnn(x: T, initial_h: T, weight_ih: const T[*], weight_hh: const T[*], bias: const T[] = None,"
    " direction: const string = 'forward', output_sequence: const bool = False,"
    " activation: const string = 'tanh') -> T",
    T=FLOAT,
)
def rnn(
    x: Array,
    *,
    initial_h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Array | None,
    direction: str,
    output_sequence: bool,
    activation: str,
) -> list[Array]:
    size = _check(x, [initial_h], weight_ih=weight_ih, weight_hh=weight_hh, bias=bias, gates=1)
    h, steps = wide(initial_h), []
    for x_t in _times(x, direction):
        added = np.zeros(size) if bias is None else wide(bias)
        h = _activation(activation)(x_t @ wide(weight_ih).T + h @ wide(weight_hh).T + added)
        steps.append(h)
    return [_sequence(steps, direction, output_sequence, h), h]


@operator(
    "lstm(x: T, initial_h: T, initial_c: T, weight_ih: const T[*], weight_hh: const T[*], bias: const T[] = None,"
    " peephole: const T[] = None, weight_ih_back: const T[*] = None, weight_hh_back: const T[*] = None,"
    " bias_back: const T[] = None, peephole_back: const T[] = None, direction: const string = 'forward',"
    " output_sequence: const bool = False, recurrent_activation: const string = 'sigmoid',"
    " cell_activation: const string = 'tanh', activation: const string = 'tanh', clip: const T = None) -> T",
    T=FLOAT,
)
def lstm(
    x: Array,
    *,
    initial_h: Array,
    initial_c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Array | None,
    peephole: Array | None,
    weight_ih_back: Array | None,
    weight_hh_back: Array | None,
    bias_back: Array | None,
    peephole_back: Array | None,
    direction: str,
    output_sequence: bool,
    recurrent_activation: str,
    cell_activation: str,
    activation: str,
    clip: float | None,
) -> list[Array]:
    if clip is not None:
        raise UndocumentedError("whether the cell gate is clipped before or after its activation")
    functions = [_activation(name) for name in (recurrent_activation, cell_activation, activation)]
    both = direction == "bidirectional"
    passes = [("forward" if both else direction, weight_ih, weight_hh, bias, peephole)]
    if both:
        require(weight_ih_back is not None and weight_hh_back is not None, "the weights of the backward direction")
        assert weight_ih_back is not None
        assert weight_hh_back is not None
        passes.append(("reverse", weight_ih_back, weight_hh_back, bias_back, peephole_back))
    results = []
    states = zip(np.split(initial_h, len(passes), 1), np.split(initial_c, len(passes), 1), strict=True)
    for (way, w, u, b, p), (h, c) in zip(passes, states, strict=True):
        _check(x, [h, c], weight_ih=w, weight_hh=u, bias=b, gates=4)
        steps, last, cell = _lstm(_times(x, way), (wide(h), wide(c)), (wide(w), wide(u), b, p), functions)
        results.append((_sequence(steps, way, output_sequence, last), last, cell))
    return [np.concatenate(parts, -1) for parts in zip(*results, strict=True)]


def _lstm(
    times: Array,
    state: tuple[Array, Array],
    weights: tuple[Array, Array, Array | None, Array | None],
    functions: list[Callable[[Array], Array]],
) -> tuple[list[Array], Array, Array]:
    """One direction. Peepholes are in the formulas of `UniDirectionalLSTMLayerParams` in `NeuralNetwork.proto`."""
    gate, cell, hidden = functions
    h, c = state
    weight_ih, weight_hh, bias, peephole = weights
    size = h.shape[1]
    added = np.zeros(4 * size) if bias is None else wide(bias)
    require(peephole is None or peephole.shape == (3 * size,), "the size of peephole")
    p_i, p_f, p_o = np.split(np.zeros(3 * size) if peephole is None else wide(peephole), 3)
    steps = []
    for x_t in times:
        i, f, o, z = np.split(x_t @ weight_ih.T + h @ weight_hh.T + added, 4, -1)
        fresh = gate(f + p_f * c) * c + gate(i + p_i * c) * cell(z)
        h, c = gate(o + p_o * fresh) * hidden(fresh), fresh
        steps.append(h)
    return steps, h, c
