"""Donation: which inputs of a graph may give their memory to which outputs.

Where a run is the last use of an input's value, an operator may write its result over that value, if nothing reads the
value afterwards. This is decided here from the structure alone, for a graph (`graph_steps`) or for any other list of
steps, such as the nodes of an ONNX model. Two cases are safe whatever the backend does between the operators:

- **A scatter** copies its first operand, unless its output is in the same memory, and replaces some elements. It must
  be the only reader of the input, and must read it once. Its result must be the output itself.
- **Pointwise** operators read each element before they write the element at the same place. The output's producer and
  all readers of the input are such operators, and none reads the input after the producer has written. No operator of
  another kind is connected with them, since a backend might fuse it with them into a kernel that reads elements again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import field

from webnn.graph.in_place import InPlace
from webnn.graph.ir import Graph
from webnn.graph.quick_dataclass import dataclass

__all__ = ["Donation", "Donations", "Step", "donations", "graph_donations"]


@dataclass(frozen=True, slots=True)
class Step:
    """One operator as far as donation is concerned.

    Attributes:
        op: its name in the table of operators.
        where: its name in messages.
        reads: the values that it reads, in order.
        makes: the values that it computes.
    """

    op: str
    where: str
    reads: tuple[Hashable, ...]
    makes: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Donation:
    """One input whose memory may become that of one output.

    Attributes:
        input: the name of the input.
        output: the name of the output.
        by: the operator that writes the output, e.g. `[cache] scatter_elements`.
        is_scatter: whether that is a scatter: it leaves all other elements as they are, so a run that was interrupted
            can be made again on the same memory.
    """

    input: str
    output: str
    by: str
    is_scatter: bool

    def __str__(self) -> str:
        return f"{self.input} -> {self.output} (written in place by {self.by})"


@dataclass(frozen=True, slots=True)
class Donations:
    """What may be donated, and why the rest may not.

    Attributes:
        pairs: the inputs that may be donated, each with the output that takes its memory. Several inputs may be
            possible for one output; a run uses one of them.
        kept: the other inputs by name, each with the reason.
    """

    pairs: tuple[Donation, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"  {pair}" for pair in self.pairs]
        lines += [f"  {name}: no, {reason}" for name, reason in self.kept.items()]
        return "\n".join(["donation of inputs whose last use is the dispatch:", *(lines or ["  no inputs"])])


def graph_donations(graph: Graph, in_place: InPlace) -> Donations:
    """The donations that `graph` allows on a backend that runs the operators of `in_place` in place."""
    steps = [
        Step(node.op, node.where, tuple(map(id, node.inputs())), tuple(map(id, node.outputs))) for node in graph.nodes
    ]
    inputs = {name: (id(operand), operand.descriptor.key) for name, operand in graph.inputs.items()}
    outputs = {name: (id(operand), operand.descriptor.key) for name, operand in graph.outputs.items()}
    return donations(steps, inputs, outputs, in_place)


def donations(
    steps: Sequence[Step],
    inputs: Mapping[str, tuple[Hashable, Hashable]],
    outputs: Mapping[str, tuple[Hashable, Hashable]],
    in_place: InPlace,
) -> Donations:
    """The donations that a list of steps allows.

    Args:
        steps: producers before their readers.
        inputs: by name, the value of each, and a key that is equal for equal data types and shapes.
        outputs: likewise.
        in_place: the operators that run in place.
    """
    search = _Search(steps, inputs, outputs, in_place)
    pairs: list[Donation] = []
    kept: dict[str, str] = {}
    for name in inputs:
        found = search.donation_of(name)
        if isinstance(found, Donation):
            pairs.append(found)
        else:
            kept[name] = found
    return Donations(tuple(pairs), kept)


class _Search:
    """The connections of a list of steps, looked up by value."""

    def __init__(
        self,
        steps: Sequence[Step],
        inputs: Mapping[str, tuple[Hashable, Hashable]],
        outputs: Mapping[str, tuple[Hashable, Hashable]],
        in_place: InPlace,
    ) -> None:
        self.inputs, self.in_place = inputs, in_place
        self.readers: dict[Hashable, list[Step]] = defaultdict(list)
        self.producer: dict[Hashable, Step] = {}
        for step in steps:
            for value in dict.fromkeys(step.reads):
                self.readers[value].append(step)
            for value in step.makes:
                self.producer[value] = step
        self.names: dict[Hashable, list[str]] = defaultdict(list)
        self.fitting: dict[Hashable, dict[Hashable, str]] = defaultdict(dict)
        for name, (value, key) in outputs.items():
            self.names[value].append(name)
            self.fitting[key][value] = name

    def donation_of(self, name: str) -> Donation | str:
        """The donation of an input, or the reason why there is none."""
        value, key = self.inputs[name]
        readers, fitting = self.readers[value], self.fitting[key]
        if value in self.names:
            return f"it is also the output {self.names[value][0]!r}"
        if not readers:
            return "no operator reads it"
        if not fitting:
            return "no output has its data type and shape"
        if len(readers) == 1 and readers[0].op in self.in_place.scatters:
            return self._by_scatter(name, value, readers[0], fitting)
        if all(reader.op in self.in_place.pointwise for reader in readers):
            return self._by_pointwise(name, readers, fitting)
        other = next(reader for reader in readers if reader.op not in self.in_place.pointwise)
        if len(readers) > 1:
            another = next(reader for reader in readers if reader is not other)
            return f"{other.where} and {another.where} both read it, and the one that writes may be the first"
        return f"{other.where} reads it, which does not run in place"

    def _by_scatter(self, name: str, value: Hashable, step: Step, fitting: Mapping[Hashable, str]) -> Donation | str:
        if step.reads[0] != value or step.reads.count(value) > 1:
            return f"{step.where} reads it as indices or updates"
        if step.makes[0] not in fitting:
            return f"the result of {step.where} is not itself an output"
        return self._named_once(name, step, step.makes[0], is_scatter=True)

    def _by_pointwise(self, name: str, readers: Sequence[Step], fitting: Mapping[Hashable, str]) -> Donation | str:
        region = self._region(readers[0])
        stranger = next((step for step in region if step.op not in self.in_place.pointwise), None)
        for made in fitting:
            producer = self.producer.get(made)
            if producer is None or producer not in region:
                continue
            before = self._ancestors(producer)
            late = next((reader for reader in readers if reader is not producer and id(reader) not in before), None)
            if late is not None:
                continue
            if stranger is not None:
                return (
                    f"{stranger.where} is connected with {producer.where}, and the two could be fused into one kernel"
                    " that does not run in place"
                )
            return self._named_once(name, producer, made, is_scatter=False)
        if len(readers) > 1:
            return f"{readers[0].where} and {readers[1].where} both read it, and no fitting output comes after both"
        return f"no output of its data type and shape is computed elementwise from the result of {readers[0].where}"

    def _named_once(self, name: str, step: Step, made: Hashable, *, is_scatter: bool) -> Donation | str:
        names = self.names[made]
        if len(names) > 1:
            return f"the result of {step.where} is the outputs {names[0]!r} and {names[1]!r}, and one of them is a copy"
        return Donation(name, names[0], step.where, is_scatter)

    def _region(self, step: Step) -> list[Step]:
        """The steps that are connected with `step` through values that a step computes."""
        region, ahead, seen = list[Step](), [step], {id(step)}
        while ahead:
            step = ahead.pop()
            region.append(step)
            near = [self.producer[value] for value in step.reads if value in self.producer]
            near += [reader for value in step.makes for reader in self.readers[value]]
            for other in near:
                if id(other) not in seen:
                    seen.add(id(other))
                    ahead.append(other)
        return region

    def _ancestors(self, step: Step) -> set[int]:
        """The identities of all steps that must have run before `step` begins."""
        before, ahead = set[int](), [step]
        while ahead:
            for value in ahead.pop().reads:
                producer = self.producer.get(value)
                if producer is not None and id(producer) not in before:
                    before.add(id(producer))
                    ahead.append(producer)
        return before
