"""The problems of an import, all reported together in messages that name the nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from webnn.backends.onnx.messages import NodeProto
from webnn.errors import NotSupportedError
from webnn.graph.arguments import printable
from webnn.graph.quick_dataclass import dataclass

__all__ = [
    "MOST_NAMES",
    "OnnxNotSupportedError",
    "Problem",
    "UnsupportedNodeError",
    "label_of",
    "node_title",
    "qualified_type",
    "shown_name",
    "unknown_operator",
]


MOST_NAMES: Final = 12
"""The most values that a message names."""


class UnsupportedNodeError(Exception):
    """WebNN cannot express a node: the reason, and the nearest form that it can express.

    `inputs` are inputs of the model that would have to be constants.
    """

    def __init__(self, reason: str, nearest: str = "", *, inputs: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.nearest = nearest
        self.inputs = tuple(inputs)


@dataclass(frozen=True, slots=True)
class Problem:
    """One node that WebNN cannot express."""

    node: str
    """Its name, or that of its first output."""
    op_type: str
    """Its type, with the domain in front unless that is the standard's."""
    reason: str
    nearest: str
    """A supported alternative; "" if none is known."""
    inputs: tuple[str, ...] = ()
    """The inputs of the model whose values the node needs while the graph is built."""

    def __str__(self) -> str:
        return f"{self.node} ({self.op_type}): {self.reason}" + (f"; nearest: {self.nearest}" if self.nearest else "")


class OnnxNotSupportedError(NotSupportedError):
    """A model has nodes that WebNN cannot express; `problems` lists all of them.

    `reachable` are the values that can still be computed: outputs, and the inputs of these nodes.
    """

    def __init__(self, problems: Sequence[Problem], reachable: Sequence[str] = ()) -> None:
        lines = [f"  {problem}" for problem in problems]
        many = "1 node" if len(problems) == 1 else f"{len(problems)} nodes"
        if reachable:
            names = ", ".join(f"{shown_name(name)!r}" for name in reachable[:MOST_NAMES])
            more = ", ..." if len(reachable) > MOST_NAMES else ""
            lines.append(f"The rest can be loaded, to continue outside the graph: outputs=[{names}{more}]")
        super().__init__("\n".join([f"{many} of the ONNX model cannot be expressed in WebNN:", *lines]))
        self.problems = tuple(problems)
        self.reachable = tuple(reachable)


def shown_name(name: object) -> str:
    """A name for a message; protobuf gives bytes for a name that is not UTF-8."""
    return printable(name if isinstance(name, str) else repr(name))


def label_of(proto: NodeProto) -> str:
    """The name of a node, or of its first output."""
    label: object = proto.name or next((name for name in proto.output if name), proto.op_type)
    return label if isinstance(label, str) else repr(label)


def qualified_type(proto: NodeProto, domain: str) -> str:
    """The type of a node, with its domain unless that is the standard's."""
    return shown_name(f"{domain}.{proto.op_type}" if domain else proto.op_type)


def node_title(proto: NodeProto) -> str:
    """The node at the beginning of a message."""
    return f"node {shown_name(label_of(proto))} ({shown_name(proto.op_type)})"


def unknown_operator(domain: str, op_type: str) -> tuple[str, str]:
    """The reason why an unknown operator cannot be expressed, and the nearest form."""
    if domain:
        return f"the importer does not know {op_type} of the domain {domain}", _NEAREST.get(op_type, "")
    return f"WebNN has no {op_type}, and it cannot be composed of other operators", _NEAREST.get(op_type, "")


_NEAREST: Final[Mapping[str, str]] = {
    "NonMaxSuppression": "select boxes outside the graph",
    "NonZero": "Where with a mask",
    "Compress": "Where with a mask, or Gather with constant indices",
    "RandomNormal": "an input that is given random numbers",
    "RandomUniform": "an input that is given random numbers",
    "RandomNormalLike": "an input that is given random numbers",
    "RandomUniformLike": "an input that is given random numbers",
    "Multinomial": "draw samples outside the graph",
    "Bernoulli": "an input that is given random numbers, and Less",
    "StringNormalizer": "prepare text outside the graph",
    "StringConcat": "prepare text outside the graph",
    "StringSplit": "prepare text outside the graph",
    "RegexFullMatch": "prepare text outside the graph",
    "TfIdfVectorizer": "prepare text outside the graph",
    "CategoryMapper": "give categories as numbers, and encode strings outside the graph",
    "CastMap": "give the values of the map as a tensor",
    "DictVectorizer": "give the values of the dictionary as a tensor",
    "Unique": "find the different values outside the graph",
    "ZipMap": "export the model without it (skl2onnx: options={'zipmap': False}), or take its input as outputs=[...]",
    "ImageDecoder": "decode images outside the graph",
}
