"""Recurrent networks in ONNX: one GRU or LSTM each; a cell is a sequence of one step.

ONNX has the gates in one order, and both biases in one operand. Constants are brought into that form once, here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np

from webnn.backends.onnx import messages
from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.messages import GraphProto, NodeProto, TensorProto, ValueInfoProto
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["DIRECTIONS", "EMULATED"]

EMULATED: Final = frozenset({"lstm", "lstm_cell"})
"""Only with peepholes into the output gate: they see the cell state before the step, and ONNX's the one after it."""

DIRECTIONS: Final = {"forward": "forward", "backward": "reverse", "both": "bidirectional"}


class _Network:
    """A node's operands as ONNX takes them: the directions in front, and the gates in the order `gates`."""

    def __init__(self, node: Node, model: Model, gates: str) -> None:
        self.node = node
        self.model = model
        self.is_cell = "direction" not in node.attributes
        self.direction: str = node.attributes.get("direction", "forward")
        self.directions = 2 if self.direction == "both" else 1
        self.hidden_size: int = node.attributes["hidden_size"]
        self.activations = [name.capitalize() for name in node.attributes["activations"]]
        layout = node.attributes["layout"]
        self.reordered = layout if layout != gates else ""
        self.rows = np.concatenate([np.arange(self.hidden_size) + self.hidden_size * layout.index(k) for k in gates])

    def arranged(self, array: np.ndarray[Any, Any], with_gates: bool) -> np.ndarray[Any, Any]:
        """The value of an operand, in ONNX's form."""
        array = array[None] if self.is_cell else array
        return array[:, self.rows] if with_gates and self.reordered else array

    def operand(self, name: str, with_gates: bool = False) -> str:
        """An operand in ONNX's form; "" if it was not given."""
        operand = self.node.get(name)
        if operand is None:
            return ""
        reordered = self.reordered if with_gates else ""
        if operand.constant is not None and (self.is_cell or reordered):
            how = ("recurrent", self.is_cell, reordered)
            return self.model.derived([operand], how, lambda array: self.arranged(array, with_gates))
        result = self.model[operand]
        if self.is_cell:
            result = self.model.reshape(result, (1, *operand.shape))
        return self.model.emit("Gather", [result, self.model.constant(self.rows)], axis=1) if reordered else result

    def bias(self) -> str:
        """Both biases, one after the other; "" if there is none."""
        names = ("bias", "recurrent_bias")
        given = [name for name in names if self.node.get(name) is not None]
        if not given:
            return ""
        data_type = self.node["input"].data_type
        zeros = np.zeros((self.directions, self.rows.size), data_type)
        operands = [self.node[name] for name in given]
        if all(operand.constant is not None for operand in operands):

            def join(*arrays: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
                values = {name: self.arranged(array, True) for name, array in zip(given, arrays, strict=True)}
                return np.concatenate([values.get(name, zeros) for name in names], axis=1)

            return self.model.derived(operands, ("biases", *given, self.is_cell, self.reordered), join)
        parts = [self.operand(name, True) or self.model.full(0, zeros.shape, data_type) for name in names]
        return self.model.emit("Concat", parts, axis=1)

    def lower(self, op_type: str, states: Sequence[str], peephole: str = "", **attributes: Any) -> None:
        """The whole network as one node; `states` are the names of the state operands."""
        inputs = [self.operand("input"), *(self.operand(name, True) for name in ("weight", "recurrent_weight"))]
        inputs += [self.bias(), "", *(self.operand(name) for name in states), peephole]
        while not inputs[-1]:
            inputs.pop()
        sequence: MLOperand | Literal[""] = self.node.outputs[-1] if self.node.attributes.get("return_sequence") else ""
        last = self.node.outputs[: len(states)]
        outputs = self.model.emit_many(
            op_type,
            inputs,
            [sequence, *([None] * len(last) if self.is_cell else last)],
            hidden_size=self.hidden_size,
            direction=DIRECTIONS[self.direction],
            activations=self.activations * self.directions,
            **attributes,
        )
        self.give_cell_states(outputs[1:])

    def give_cell_states(self, states: Sequence[str]) -> None:
        """A cell's states are without the directions."""
        if self.is_cell:
            for operand, state in zip(self.node.outputs, states, strict=True):
                self.model.reshape(state, operand.shape, to=operand)


@lowerings.lowers("gru", "gru_cell")
def gru(node: Node, model: Model) -> None:
    """One `GRU`; or one `RNN`, which takes a third of the products, if the gates never do anything."""
    is_plain = _has_open_gates(node)
    network = _Network(node, model, "n" if is_plain else "zrn")
    states = ["hidden_state" if network.is_cell else "initial_hidden_state"]
    if is_plain:
        del network.activations[0]
        network.lower("RNN", states)
    else:
        network.lower("GRU", states, linear_before_reset=int(node.attributes["reset_after"]))


def _has_open_gates(node: Node) -> bool:
    """Whether a GRU is a plain recurrent network: whatever the input, the update gate is 0 and the reset gate is 1."""
    weights = [node["weight"].constant, node["recurrent_weight"].constant]
    biases = [x.constant for name in ("bias", "recurrent_bias") if (x := node.get(name)) is not None]
    if not node.attributes["reset_after"] or node.attributes["activations"][0] != "relu" or not biases:
        return False
    if any(array is None for array in [*weights, *biases]):
        return False
    size, layout = node.attributes["hidden_size"], node.attributes["layout"]
    axis = 0 if node.op == "gru_cell" else 1

    def of_gate(array: Any, gate: str) -> Any:
        return np.take(array, np.arange(size) + size * layout.index(gate), axis=axis)

    is_constant = not any(of_gate(array, gate).any() for array in weights for gate in "zr")
    update, reset = (sum(of_gate(array, gate).astype(np.float32) for array in biases) for gate in "zr")
    return is_constant and bool((update <= 0).all() and (reset == 1).all())


@lowerings.lowers("lstm", "lstm_cell")
def lstm(node: Node, model: Model) -> None:
    """One `LSTM`, but with peepholes into the output gate one `Scan` per direction."""
    network = _Network(node, model, "iofg")
    states = ["hidden_state", "cell_state"] if network.is_cell else ["initial_hidden_state", "initial_cell_state"]
    peephole = node.get("peephole_weight")
    if peephole is None or (peephole.constant is not None and not _output_part(peephole.constant).any()):
        network.lower("LSTM", states, network.operand("peephole_weight"))
    else:
        _scan(network, states)


@lowerings.lowers("recurrent_network")
def recurrent_network(node: Node, model: Model) -> None:
    """One `RNN`, `GRU` or `LSTM`, with the options that WebNN's operators lack."""
    kind, options = node.attributes["kind"], node.attributes
    names = ["input", "weight", "recurrent_weight", "bias", "lengths", "initial_hidden_state"]
    own: dict[str, Any] = {}
    if kind == "LSTM":
        names += ["initial_cell_state", "peephole_weight"]
        own = {"input_forget": int(options["coupled"])}
    elif kind == "GRU":
        own = {"linear_before_reset": int(options["reset_after"])}
    inputs = [model[node[name]] if name in node.operands else "" for name in names]
    while not inputs[-1]:
        inputs.pop()
    count = 2 if kind == "LSTM" else 1
    model.emit_many(
        kind,
        inputs,
        [*(node.outputs[count:] or [""]), *node.outputs[:count]],
        hidden_size=options["hidden_size"],
        direction=DIRECTIONS[options["direction"]],
        activations=[_SPELLED[name] for name in options["activations"]],
        activation_alpha=list(options["alphas"]) or None,
        activation_beta=list(options["betas"]) or None,
        clip=options["clip"] or None,
        **own,
    )


_SPELLED: Final = {
    name.lower(): name
    for name in (
        *("Affine", "Elu", "HardSigmoid", "LeakyRelu", "Relu", "ScaledTanh", "Sigmoid", "Softplus", "Softsign", "Tanh"),
        "ThresholdedRelu",
    )
}


def _output_part(peephole: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    size = peephole.shape[-1] // 3
    return peephole[..., size : 2 * size]


def _scan(network: _Network, states: Sequence[str]) -> None:
    """The steps of an LSTM with peepholes, both directions side by side, in float32 also between the steps."""
    model, node = network.model, network.node
    directions, size = network.directions, network.hidden_size
    shape = (directions, node["input"].shape[-2], size)
    input, weight, recurrent_weight, bias, peephole, *initial = (
        model.cast(name, "float32") if name else ""
        for name in (
            network.operand("input"),
            network.operand("weight", True),
            network.operand("recurrent_weight", True),
            network.bias(),
            network.operand("peephole_weight"),
            *(network.operand(name) for name in states),
        )
    )
    input = model.emit("Unsqueeze", [input, model.constant([1])])
    gates = model.emit("MatMul", [input, model.transpose(weight, (0, 2, 1))])
    if bias:
        biases = model.reshape(bias, (directions, 2, 4 * size))
        gates = model.emit("Add", [gates, model.emit("ReduceSum", [biases, model.constant([1])])])
    inputs = model.emit_many("Split", [gates], [None] * directions, axis=1, num_outputs=directions)
    returned = directions if node.attributes.get("return_sequence") else 0
    backward = [0, 1] if directions == 2 else [int(network.direction == "backward")]
    outputs = model.emit_many(
        "Scan",
        [*(name or model.full(0, shape, "float32") for name in initial), *inputs],
        [*([None, None] if network.is_cell else node.outputs[:2]), *([None] * returned)],
        body=_step(
            network.activations,
            shape,
            recurrent_weight=model.transpose(recurrent_weight, (0, 2, 1)),
            peephole=model.reshape(peephole, (directions, 1, 3 * size)),
            sizes=model.constant([3 * size, size]),
            returned=returned,
        ),
        num_scan_inputs=directions,
        scan_input_directions=backward,
        scan_output_directions=backward[:returned] or None,
    )
    network.give_cell_states(outputs[:2])
    if returned:
        model.emit("Concat", outputs[2:], to=node.outputs[2], axis=1)


def _step(
    activations: Sequence[str],
    shape: tuple[int, int, int],
    *,
    recurrent_weight: str,
    peephole: str,
    sizes: str,
    returned: int,
) -> GraphProto:
    """One step as the body of a `Scan`: h, c and the gates' sums of each direction in; h, c and `returned` times h out.

    The operands are values of the model around it.
    """
    nodes: list[NodeProto] = []

    def add_many(op_type: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        # The names in the model around it are ASCII; none of these may be among them.
        names = [f"step·{len(nodes)}·{i}" for i in range(outputs)]
        nodes.append(messages.node(op_type, inputs, names, **attributes))
        return names

    def add(op_type: str, *inputs: str, **attributes: Any) -> str:
        return add_many(op_type, inputs, 1, **attributes)[0]

    directions, batch, size = shape
    h, c, *gates = [f"step·{name}" for name in ("h", "c", "forward", "backward")[: 2 + directions]]
    sums = add("Add", add("Concat", *gates, axis=0), add("MatMul", h, recurrent_weight))
    iof, g = add_many("Split", [sums, sizes], 2, axis=-1)
    iof = add("Add", iof, add("Mul", add("Concat", c, c, c, axis=-1), peephole))
    i, o, f = add_many("Split", [add(activations[0], iof)], 3, axis=-1, num_outputs=3)
    new_c = add("Add", add("Mul", f, c), add("Mul", i, add(activations[1], g)))
    new_h = add("Mul", o, add(activations[2], new_c))
    sequences = add_many("Split", [new_h], returned, axis=0, num_outputs=returned) if returned else []

    def declared(names: Sequence[str], *shape: int) -> list[ValueInfoProto]:
        return [messages.value_info(name, TensorProto.FLOAT, shape) for name in names]

    return messages.graph(
        nodes,
        "step",
        declared([h, c], *shape) + declared(gates, 1, batch, 4 * size),
        declared([new_h, new_c], *shape) + declared(sequences, 1, batch, size),
    )
