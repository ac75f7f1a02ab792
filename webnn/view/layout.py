"""Where the boxes of a drawn graph stand: layers from top to bottom, edges as straight as they go.

The usual way in three steps. Each box goes into the layer below the last one that it reads. Within their layers boxes
are ordered so that few edges cross: again and again by the mean place of their neighbours. Then, the order kept, each
layer is moved as near to its neighbours as the widths allow, which is solved exactly (`_spread`).

An edge that passes through layers has a narrow place in each of them. All edges of one box that go far share these
places as one trunk, so that a mask that every layer of a network reads is one line and not hundreds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Layout", "layout"]

ROW: Final = 84.0
"""From the middle of a layer to the middle of the next."""
GAP: Final = 26.0
"""Between two boxes of a layer."""
LANE: Final = 10.0
"""The width of a place that an edge passes through."""
ORDERINGS: Final = 12
ALIGNMENTS: Final = 10
PASSED: Final = 50_000
"""The most places for edges: where thousands of values wait for late readers, the rest goes straight across boxes."""
STRAIGHT: Final = 6.0
"""How much more a place of an edge weighs than a box: a bend in a long line is seen from afar."""


@dataclass(slots=True)
class Layout:
    """The middle of each box, and of each edge's places.

    Attributes:
        x: of each box.
        y: of each box.
        trunks: for each box, the points that its far edges pass, one in each layer below it, as far as there are any.
        width: of the whole.
        height: of the whole.
    """

    x: list[float]
    y: list[float]
    trunks: list[list[tuple[float, float]]]
    width: float
    height: float


@dataclass(slots=True)
class _Place:
    """A box, or a place that a trunk passes."""

    layer: int
    width: float
    weight: float
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    x: float = 0.0


def layout(widths: Sequence[float], sources: Sequence[Sequence[int]]) -> Layout:
    """A place for each box.

    Args:
        widths: of the boxes, every one after those that it reads.
        sources: for each box, those that it reads.
    """
    layers_of = _layers(sources)
    places = [_Place(layer, width, 1.0) for layer, width in zip(layers_of, widths, strict=True)]
    trunks = _trunks(places, sources)
    layers: list[list[int]] = [[] for _ in range(max(layers_of, default=-1) + 1)]
    for i, place in enumerate(places):
        layers[place.layer].append(i)
    _order(places, layers)
    _align(places, layers)
    left = min((place.x - place.width / 2 for place in places), default=0.0)
    for place in places:
        place.x = round(place.x - left, 1)
    boxes = places[: len(widths)]
    return Layout(
        [place.x for place in boxes],
        [place.layer * ROW + ROW / 2 for place in boxes],
        [[(places[i].x, places[i].layer * ROW + ROW / 2) for i in trunk] for trunk in trunks],
        max((place.x + place.width / 2 for place in places), default=0.0),
        len(layers) * ROW,
    )


def _layers(sources: Sequence[Sequence[int]]) -> list[int]:
    """The layer of each box: below its sources; a box without sources, right above its first reader."""
    layers: list[int] = []
    readers: list[list[int]] = [[] for _ in sources]
    for i, read in enumerate(sources):
        layers.append(max((layers[source] + 1 for source in read), default=0))
        for source in read:
            readers[source].append(i)
    for i in reversed(range(len(sources))):
        if not sources[i] and readers[i]:
            layers[i] = max(0, min(layers[reader] for reader in readers[i]) - 1)
    return layers


def _trunks(places: list[_Place], sources: Sequence[Sequence[int]]) -> list[list[int]]:
    """Add the places that edges pass, and join everything; for each box, the places of its trunk."""
    trunks: list[list[int]] = [[] for _ in sources]
    most = len(places) + PASSED
    for i, read in enumerate(sources):
        for source in dict.fromkeys(read):
            trunk = trunks[source]
            while places[source].layer + len(trunk) + 1 < places[i].layer and len(places) < most:
                above = trunk[-1] if trunk else source
                trunk.append(len(places))
                places.append(_Place(places[above].layer + 1, LANE, STRAIGHT))
                _join(places, above, trunk[-1])
            passed = min(places[i].layer - places[source].layer - 1, len(trunk))
            _join(places, trunk[passed - 1] if passed else source, i)
    return trunks


def _join(places: list[_Place], above: int, below: int) -> None:
    places[above].below.append(below)
    places[below].above.append(above)


def _order(places: list[_Place], layers: list[list[int]]) -> None:
    """Order each layer by the mean position of its neighbours, downwards and upwards in turn."""
    position = [0.0] * len(places)

    def number(layer: list[int]) -> None:
        for i, place in enumerate(layer):
            position[place] = i / max(1, len(layer) - 1) if len(layer) > 1 else 0.5

    for layer in layers:
        number(layer)
    best, fewest = [layer[:] for layer in layers], _crossings(places, layers, position)
    for turn in range(ORDERINGS):
        if not fewest:
            break
        downwards = turn % 2 == 0
        for layer in layers if downwards else reversed(layers):
            wanted = {i: _mean(position, places[i].above if downwards else places[i].below, position[i]) for i in layer}
            layer.sort(key=wanted.__getitem__)
            number(layer)
        crossings = _crossings(places, layers, position)
        if crossings < fewest:
            best, fewest = [layer[:] for layer in layers], crossings
    layers[:] = best


def _mean(position: Sequence[float], neighbours: Sequence[int], otherwise: float) -> float:
    return sum(position[i] for i in neighbours) / len(neighbours) if neighbours else otherwise


def _crossings(places: list[_Place], layers: list[list[int]], position: Sequence[float]) -> int:
    """How many edges between neighbouring layers cross: inversions of their lower ends, counted in a Fenwick tree."""
    crossings = 0
    for layer in layers:
        ends = [end for upper in layer for end in sorted(places[upper].below, key=lambda lower: position[lower])]
        if len(ends) < 2:
            continue
        rank = {place: i + 1 for i, place in enumerate(sorted(set(ends), key=lambda lower: position[lower]))}
        tree = [0] * (len(rank) + 1)
        for seen, end in enumerate(ends):
            i, not_right = rank[end], 0
            while i:
                not_right += tree[i]
                i &= i - 1
            crossings += seen - not_right
            i = rank[end]
            while i < len(tree):
                tree[i] += 1
                i += i & -i
    return crossings


def _align(places: list[_Place], layers: list[list[int]]) -> None:
    """Move every layer towards its neighbours, downwards and upwards in turn; the last time towards both."""
    for layer in layers:
        _spread(places, layer, [0.0] * len(layer))
    for turn in range(ALIGNMENTS):
        both = turn >= ALIGNMENTS - 2
        for layer in layers if turn % 2 == 0 else reversed(layers):
            wanted = []
            for i in layer:
                place = places[i]
                near = place.above if turn % 2 == 0 else place.below
                wanted.append(_wanted(places, [*place.above, *place.below] if both or not near else near, place.x))
            _spread(places, layer, wanted)


def _wanted(places: list[_Place], neighbours: Iterable[int], otherwise: float) -> float:
    """Where a place would like to be: at the weighted mean of its neighbours."""
    weight = total = 0.0
    for i in neighbours:
        weight += places[i].weight
        total += places[i].weight * places[i].x
    return total / weight if weight else otherwise


def _spread(places: list[_Place], layer: list[int], wanted: Sequence[float]) -> None:
    """Put a layer as near to `wanted` as the widths allow, in least squares.

    Seen from the left end of the packed layer, places may be anywhere as long as they keep their order: that is
    isotonic regression, and neighbours that want to pass each other merge into blocks that share their mean.
    """
    offsets, offset = [], 0.0
    for i, before in zip(layer, [None, *layer], strict=False):
        if before is not None:
            lanes = places[i].width == LANE and places[before].width == LANE
            offset += (places[before].width + places[i].width) / 2 + (LANE if lanes else GAP)
        offsets.append(offset)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for i, want, shift in zip(layer, wanted, offsets, strict=True):
        mean, weight, count = want - shift, places[i].weight, 1
        while blocks and blocks[-1][0] > mean:
            other, other_weight, other_count = blocks.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight, count = weight + other_weight, count + other_count
        blocks.append((mean, weight, count))
    at = 0
    for mean, _, count in blocks:
        for i in range(at, at + count):
            places[layer[i]].x = mean + offsets[i]
        at += count
