"""Recurrent networks in Core ML, step by step, as the specification decomposes their cells.

Core ML's own `gru` and `lstm` take constant weights, and `gru` resets the state before its product in one of the two
ways only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from webnn.backends.coreml.lowerings import lowerings
from webnn.backends.coreml.program import Program, Value
from webnn.graph.ir import Node

__all__: list[str] = []

State: TypeAlias = tuple[Value, ...]
"""The state between steps: the hidden state, and the cell state of an LSTM."""
Weights: TypeAlias = Mapping[str, Value]
"""The weights and biases of one direction, by their names in the cells."""
Step: TypeAlias = Callable[["_Cell", Value, State], State]
"""`step(cell, sums of the input, state)`: the next state."""

_STEPS: Final = 1024
"""The most steps that are written out."""


class _Cell:
    """One direction of a network: its weights, turned for products from the right, and its biases, added up."""

    def __init__(self, node: Node, program: Program, weights: Weights) -> None:
        self.program = program
        self.node = node
        self.layout: str = node.attributes["layout"]
        self.activations: tuple[str, ...] = node.attributes["activations"]
        self.size: int = node.attributes["hidden_size"]
        self.weights = weights

    def add(self, a: Value, b: Value | None) -> Value:
        return a if b is None else self.program.emit("add", x=a, y=b)

    def mul(self, a: Value, b: Value) -> Value:
        return self.program.emit("mul", x=a, y=b)

    def product(self, x: Value, name: str) -> Value:
        """`x` times the transpose of a weight, which has a row for each output."""
        return self.program.emit("matmul", x=x, y=self.weights[name], transpose_y=True)

    def gate(self, sums: Value, letter: str, layout: str | None = None) -> Value:
        """The part of `sums`, along the last axis, for one gate."""
        first = (self.layout if layout is None else layout).index(letter) * self.size
        return self.program.part(sums, len(sums.shape) - 1, first, first + self.size)

    def rows(self, name: str, letter: str) -> Value:
        """The rows of a weight for one gate."""
        first = self.layout.index(letter) * self.size
        return self.program.part(self.weights[name], 0, first, first + self.size)

    def activated(self, value: Value, which: int) -> Value:
        return self.program.emit(self.activations[which], x=value)

    def sums_of_input(self, x: Value) -> Value:
        """The part of all gates that depends on the input alone, for all steps at once: `[steps, batch, gates]`."""
        return self.add(self.product(x, "weight"), self.weights.get("bias"))


def _lstm_step(cell: _Cell, sums: Value, state: State) -> State:
    h, c = state
    sums = cell.add(sums, cell.product(h, "recurrent_weight"))
    sums = cell.add(sums, cell.weights.get("recurrent_bias"))
    peephole = cell.weights.get("peephole_weight")

    def gate(letter: str) -> Value:
        value = cell.gate(sums, letter)
        if peephole is not None:
            value = cell.add(value, cell.mul(cell.gate(peephole, letter, "iof"), c))
        return cell.activated(value, 0)

    i, o, f = (gate(letter) for letter in "iof")
    g = cell.activated(cell.gate(sums, "g"), 1)
    c = cell.add(cell.mul(f, c), cell.mul(i, g))
    return cell.mul(o, cell.activated(c, 2)), c


def _gru_step(cell: _Cell, sums: Value, state: State) -> State:
    (h,) = state
    bias = cell.weights.get("recurrent_bias")
    if cell.node.attributes["reset_after"]:
        recurrent = cell.add(cell.product(h, "recurrent_weight"), bias)
        update, reset = (
            cell.activated(cell.add(cell.gate(sums, letter), cell.gate(recurrent, letter)), 0) for letter in "zr"
        )
        candidate = cell.add(cell.gate(sums, "n"), cell.mul(reset, cell.gate(recurrent, "n")))
    else:
        sums = cell.add(sums, bias)

        def recurrent_part(x: Value, letter: str) -> Value:
            return cell.program.emit("matmul", x=x, y=cell.rows("recurrent_weight", letter), transpose_y=True)

        update, reset = (
            cell.activated(cell.add(cell.gate(sums, letter), recurrent_part(h, letter)), 0) for letter in "zr"
        )
        candidate = cell.add(cell.gate(sums, "n"), recurrent_part(cell.mul(reset, h), "n"))
    candidate = cell.activated(candidate, 1)
    # The same as update * h + (1 - update) * candidate, also for an update gate above 1.
    rest = cell.program.emit("sub", x=cell.program.number(1, cell.program.type_of(update)), y=update)
    return (cell.add(cell.mul(update, h), cell.mul(candidate, rest)),)


def _run_cell(node: Node, program: Program, step: Step, states: tuple[str, ...]) -> None:
    values: dict[str, Any] = {name: program[node[name]] for name in node.operands}
    cell = _Cell(node, program, values)
    state = step(cell, cell.sums_of_input(values["input"]), tuple(values[name] for name in states))
    for output, value in zip(node.outputs, state, strict=True):
        program.set(output, value)


def _run_sequence(node: Node, program: Program, step: Step, states: tuple[str, ...]) -> None:
    steps = node.attributes["steps"]
    directions, batch, size = node.output.shape
    if steps * directions > _STEPS:
        raise program.refusal(f"{steps} steps; at most {_STEPS} in all directions together are written out")
    values: dict[str, Any] = {name: program[node[name]] for name in node.operands}
    input = values.pop("input")
    held = program.type_of(input)
    last: list[State] = []
    sequences = []
    for d in range(directions):
        given = {
            name: program.reshape(program.part(value, 0, d, d + 1), value.shape[1:]) for name, value in values.items()
        }
        cell = _Cell(node, program, given)
        sums = cell.sums_of_input(input)
        state = tuple(given[name] if name in given else program.full(0, (batch, size), held) for name in states)
        order = range(steps)
        hidden = {}
        for t in reversed(order) if d == 1 or node.attributes["direction"] == "backward" else order:
            state = step(cell, program.reshape(program.part(sums, 0, t, t + 1), sums.shape[1:]), state)
            hidden[t] = program.reshape(state[0], (1, 1, batch, size))
        last.append(state)
        if node.attributes["return_sequence"]:
            sequences.append(program.concat([hidden[t] for t in order], 0))
    for k in range(len(states)):
        stacked = [program.reshape(state[k], (1, batch, size)) for state in last]
        program.set(node.outputs[k], program.concat(stacked, 0))
    if sequences:
        program.set(node.outputs[-1], program.concat(sequences, 1))


@lowerings.lowers("gru_cell")
def gru_cell(node: Node, program: Program) -> None:
    """One step of a GRU."""
    _run_cell(node, program, _gru_step, ("hidden_state",))


@lowerings.lowers("gru")
def gru(node: Node, program: Program) -> None:
    """Each step of a GRU in turn, in each direction."""
    _run_sequence(node, program, _gru_step, ("initial_hidden_state",))


@lowerings.lowers("lstm_cell")
def lstm_cell(node: Node, program: Program) -> None:
    """One step of an LSTM."""
    _run_cell(node, program, _lstm_step, ("hidden_state", "cell_state"))


@lowerings.lowers("lstm")
def lstm(node: Node, program: Program) -> None:
    """Each step of an LSTM in turn, in each direction."""
    _run_sequence(node, program, _lstm_step, ("initial_hidden_state", "initial_cell_state"))
