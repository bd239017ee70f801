"""Draws lineage and counts as SVG without scripts. Text has the page's colour, light or dark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

import msgspec

from inference.plain_text import printable
from streams.assets.inventory import Edge, Lineage, Node

WIDTH, HEIGHT = 172, 24
"""Size of a node."""
GAP_X, GAP_Y = 56, 6
MOST_LETTERS = 24
"""Letters of a title that fit into a node."""
PASSES = 6
"""Sweeps over the layers that bring connected nodes to the same height."""

GROUPED = ("feature", "context", "attribute")
"""Kinds of nodes of which `compact` draws several as one."""

Href = Callable[[Node], str | None]
"""Returns the address that a node links to, None for no link."""


def lineage_svg(lineage: Lineage, href: Href, marked: str | None = None, name: str = "Lineage") -> str:
    """Return a graph in columns, one for each layer that has nodes. The node `marked` is emphasised.

    `name` is its name for screen readers. It is a group, not an image: an image hides its links from them.
    """
    columns = _columns(lineage)
    places = {
        node.id: (x * (WIDTH + GAP_X), y * (HEIGHT + GAP_Y))
        for x, column in enumerate(columns)
        for y, node in _centred(column, max(map(len, columns), default=1))
    }
    width = max((x for x, _ in places.values()), default=0) + WIDTH
    height = max((y for _, y in places.values()), default=0) + HEIGHT
    edges = "".join(_edge(each, places) for each in lineage.edges)
    nodes = "".join(_node(each, places[each.id], href(each), is_marked=each.id == marked) for each in lineage.nodes)
    return (
        f'<svg class="lineage" role="group" aria-label="{escape(name)}" viewBox="-2 -2 {width + 4:g} {height + 4:g}" '
        f'width="{width + 4:g}" height="{height + 4:g}" xmlns="http://www.w3.org/2000/svg">'
        f'<g class="edges" fill="none">{edges}</g>{nodes}</svg>'
    )


def neighbourhood(lineage: Lineage, node: str) -> Lineage:
    """Return a node with what feeds it directly and what it feeds directly."""
    edges = tuple(each for each in lineage.edges if node in (each.source, each.target))
    kept = {node, *(end for each in edges for end in (each.source, each.target))}
    return Lineage(nodes=tuple(each for each in lineage.nodes if each.id in kept), edges=edges)


def compact(lineage: Lineage) -> Lineage:
    """Return the graph with one node for all features, or keys, that have the same neighbours."""
    ends: dict[str, tuple[set[tuple[str, str]], set[tuple[str, str]]]] = {
        each.id: (set(), set()) for each in lineage.nodes
    }
    for edge in lineage.edges:
        ends[edge.source][1].add((edge.target, edge.kind))
        ends[edge.target][0].add((edge.source, edge.kind))
    groups: dict[tuple[object, ...], list[Node]] = {}
    for node in lineage.nodes:
        before, behind = ends[node.id]
        own = (node.kind, *sorted(before), None, *sorted(behind)) if node.kind in GROUPED else (node.id,)
        groups.setdefault(own, []).append(node)
    first = {node.id: group[0].id for group in groups.values() for node in group}
    nodes = [
        msgspec.structs.replace(group[0], title=f"{group[0].title} +{len(group) - 1}") if len(group) > 1 else group[0]
        for group in groups.values()
    ]
    edges = dict.fromkeys(
        msgspec.structs.replace(each, source=first[each.source], target=first[each.target]) for each in lineage.edges
    )
    return Lineage(nodes=tuple(nodes), edges=tuple(edges))


def sparkline(counts: Sequence[int], width: int = 96, height: int = 18) -> str:
    """Return a line of counts over time, from 0 to the greatest. Nothing for fewer than two."""
    if len(counts) < 2:
        return ""
    top, step = max(*counts, 1), width / (len(counts) - 1)
    points = " ".join(
        f"{place * step:.1f},{height - 1 - (height - 2) * count / top:.1f}" for place, count in enumerate(counts)
    )
    text = f"{len(counts)} hours, at most {max(counts):,} messages in an hour"
    return (
        f'<svg class="spark" role="img" aria-label="{text}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" xmlns="http://www.w3.org/2000/svg"><title>{text}</title>'
        f'<polyline fill="none" points="{points}"/></svg>'
    )


def _columns(lineage: Lineage) -> list[list[Node]]:
    """Return the nodes by layer. Each is moved towards the mean height of its neighbours, which avoids crossings."""
    layers = sorted({each.layer for each in lineage.nodes})
    columns = [[each for each in lineage.nodes if each.layer == layer] for layer in layers]
    neighbours: dict[str, list[str]] = {each.id: [] for each in lineage.nodes}
    for edge in lineage.edges:
        neighbours[edge.source].append(edge.target)
        neighbours[edge.target].append(edge.source)
    for _ in range(PASSES):
        tallest = max(map(len, columns), default=1)
        heights = {node.id: y for column in columns for y, node in _centred(column, tallest)}
        for column in columns:
            column.sort(key=lambda node: (_mean(neighbours[node.id], heights, heights[node.id]), node.id))
    return columns


def _mean(names: Sequence[str], heights: Mapping[str, float], otherwise: float) -> float:
    return sum(heights[name] for name in names) / len(names) if names else otherwise


def _centred(column: Sequence[Node], tallest: int) -> list[tuple[float, Node]]:
    start = (tallest - len(column)) / 2
    return [(start + place, node) for place, node in enumerate(column)]


def _edge(edge: Edge, places: Mapping[str, tuple[float, float]]) -> str:
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    y1, y2 = y1 + HEIGHT / 2, y2 + HEIGHT / 2
    if x2 > x1:
        begin, end, bend = x1 + WIDTH, x2, (x2 - x1 - WIDTH) / 2
        path = f"M{begin:g} {y1:g}C{begin + bend:g} {y1:g} {end - bend:g} {y2:g} {end:g} {y2:g}"
    elif x2 == x1:  # of one layer: a bow on the right
        side = x1 + WIDTH
        path = f"M{side:g} {y1:g}C{side + GAP_X / 2:g} {y1:g} {side + GAP_X / 2:g} {y2:g} {side:g} {y2:g}"
    else:  # back to an earlier layer
        path = f"M{x1:g} {y1:g}C{x1 - GAP_X:g} {y1:g} {x2 + WIDTH + GAP_X:g} {y2:g} {x2 + WIDTH:g} {y2:g}"
    label = _text(f"{edge.source} {edge.label}: {edge.target}")
    return f'<path class="{edge.kind}" d="{path}"><title>{label}</title></path>'


def _node(node: Node, place: tuple[float, float], address: str | None, *, is_marked: bool) -> str:
    x, y = place
    title = node.title if len(node.title) <= MOST_LETTERS else node.title[: MOST_LETTERS - 1] + "…"
    drawn = (
        f'<g class="node {escape(node.kind)}{" marked" if is_marked else ""}"><title>{_text(node.id)}</title>'
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        f'<text x="{x + 9:g}" y="{y + 16:g}">{_text(title)}</text></g>'
    )
    return drawn if address is None else f'<a href="{escape(address)}">{drawn}</a>'


def _text(text: str) -> str:
    """Return untrusted text for a page: printable, and without markup."""
    return escape(printable(text))
