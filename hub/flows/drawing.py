"""A graph of flows as a picture (SVG, laid out here, no library needed) or as text (Mermaid). Equal graphs give equal text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from hub.flows.graph import Column, Graph, Node

# pixels; letters are counted wide, since nobody knows the reader's font
_LETTER, _LINE, _PAD, _GAP, _BETWEEN, _MARGIN, _HEAD = 7.6, 17, 10, 14, 70, 20, 46
_SWEEPS, _WIDEST = 6, 36
_STYLE = """\
text { font: 13px system-ui, 'DejaVu Sans', sans-serif; fill: #1b1f24 } .dim { fill: #57606a; font-size: 12px } .head { fill: #57606a; font-size: 12px }
rect { fill: #ffffff; stroke: #6e7781; rx: 6px } path { fill: none; stroke: #8c959f; stroke-width: 1.3 } #arrow path { fill: #8c959f; stroke: none }
.flow rect { fill: #ddf4ff; stroke: #0969da } .core rect { fill: #fff8c5; stroke: #9a6700 } .event rect { fill: #fbefff; stroke: #8250df }
.system rect { fill: #dafbe1; stroke: #1a7f37 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .dim, .head { fill: #9da7b3 } rect { fill: #161b22; stroke: #6e7681 } path { stroke: #6e7681 } #arrow path { fill: #6e7681 }
.flow rect { fill: #0c2d6b; stroke: #58a6ff } .core rect { fill: #3b2300; stroke: #d29922 } .event rect { fill: #271052; stroke: #bc8cff }
.system rect { fill: #033a16; stroke: #3fb950 }
}"""
_CLASSES = {
    Column.START: "start",
    Column.STARTED: "flow",
    Column.CORE: "core",
    Column.EVENT: "event",
    Column.ANSWER: "flow",
    Column.OPERATION: "system",
}


@dataclass(frozen=True)
class Box:
    """Where a node is drawn; pixels from the left and the top."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def boxes(graph: Graph) -> dict[Node, Box]:
    """A place for each node: by its kind from left to right, in a column near those that it is joined to."""
    made: dict[Node, Box] = {}
    x = float(_MARGIN)
    columns = _ordered(graph)
    tallest = max((_height(nodes) for nodes in columns.values()), default=0)
    for column, nodes in columns.items():
        width = max(len(column), *(len(text) for node in nodes for text in _texts(node))) * _LETTER
        y = _HEAD + (tallest - _height(nodes)) / 2
        for node in nodes:
            height = 2 * _PAD + _LINE * len(_texts(node))
            made[node] = Box(x, y, width + 2 * _PAD, height)
            y += height + _GAP
        x += width + 2 * _PAD + _BETWEEN
    return made


def _texts(node: Node) -> list[str]:
    """The lines of a node's box: its name, and below it what does not grow wider than the screen."""
    return [node.name, *(part for line in node.lines for part in textwrap.wrap(line, _WIDEST))]


def _height(nodes: Sequence[Node]) -> float:
    return sum(2 * _PAD + _LINE * len(_texts(node)) + _GAP for node in nodes) - _GAP


def _ordered(graph: Graph) -> Mapping[Column, list[Node]]:
    """The nodes of each column, in an order with few crossings: each near the middle of its neighbours (barycentres)."""
    columns = {column: [node for node in graph.nodes if node.column is column] for column in Column}
    columns = {column: nodes for column, nodes in columns.items() if nodes}
    joined: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
    for source, target in graph.edges:
        joined[source].append(target)
        joined[target].append(source)
    for sweep in range(_SWEEPS):
        place = {node: _share(index, nodes) for nodes in columns.values() for index, node in enumerate(nodes)}
        for column in list(columns) if sweep % 2 == 0 else reversed(list(columns)):
            columns[column].sort(key=lambda node: (_mean([place[each] for each in joined[node]]), node.name))
            place |= {node: _share(index, columns[column]) for index, node in enumerate(columns[column])}
    return columns


def _share(index: int, nodes: Sequence[Node]) -> float:
    return (index + 0.5) / len(nodes)


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 9) if values else 0.5


def svg(graph: Graph) -> str:
    """The picture. It names itself and tells its content for those who do not see it, and follows a dark background."""
    places = boxes(graph)
    width = max((box.right for box in places.values()), default=200) + _MARGIN
    height = max((box.y + box.height for box in places.values()), default=_HEAD) + _MARGIN
    heads = {node.column: box.x for node, box in reversed(places.items())}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" '
        f'height="{_n(height)}" role="img" aria-labelledby="graph-title graph-desc">',
        '<title id="graph-title">Flows of the hub</title>',
        f'<desc id="graph-desc">{escape(told(graph))}</desc>',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z"/></marker></defs>',
    ]
    lines += [
        f'<text class="head" x="{_n(heads[column])}" y="28">{column}</text>' for column in Column if column in heads
    ]
    lines += [_edge(places[source], places[target]) for source, target in graph.edges]
    lines += [_box(node, places[node]) for node in graph.nodes]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _edge(source: Box, target: Box) -> str:
    """From the right of a box to the left of another; one that goes back swings out."""
    bend = max((target.x - source.right) / 2, _BETWEEN / 2)
    return (
        f'<path marker-end="url(#arrow)" d="M{_n(source.right)},{_n(source.middle)} C{_n(source.right + bend)},{_n(source.middle)} '
        f'{_n(target.x - bend)},{_n(target.middle)} {_n(target.x)},{_n(target.middle)}"/>'
    )


def _box(node: Node, box: Box) -> str:
    parts = [f'<g class="{_CLASSES[node.column]}">']
    if node.about:
        parts.append(f"<title>{escape(node.about)}</title>")
    parts.append(f'<rect x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}"/>')
    for number, text in enumerate(_texts(node)):
        dim = ' class="dim"' if number else ""
        y = box.y + _PAD + _LINE * number + 13
        parts.append(f'<text{dim} x="{_n(box.x + _PAD)}" y="{_n(y)}">{escape(text)}</text>')
    return "".join([*parts, "</g>"])


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def told(graph: Graph) -> str:
    """The graph in words: for each flow what starts it and what it leads to."""
    said = []
    for flow in [node for node in graph.nodes if node.column in (Column.STARTED, Column.ANSWER)]:
        before = [source.name for source, target in graph.edges if target == flow]
        after = [target.name for source, target in graph.edges if source == flow]
        said.append(f"{flow.name}: from {', '.join(before) or 'nothing'}; to {', '.join(after) or 'nothing'}.")
    return " ".join(said)


def mermaid(graph: Graph) -> str:
    """The same as Mermaid's text, which many pages draw."""
    names = {node: f"n{number}" for number, node in enumerate(graph.nodes, 1)}
    lines = ["flowchart LR"]
    for column in Column:
        nodes = [node for node in graph.nodes if node.column is column]
        if nodes:
            lines.append(f'  subgraph {column.name.lower()}["{column}"]')
            lines += [f"    {names[node]}{_shape(node)}" for node in nodes]
            lines.append("  end")
    lines += [f"  {names[source]} --> {names[target]}" for source, target in graph.edges]
    return "\n".join(lines) + "\n"


def _shape(node: Node) -> str:
    # quotes and what Mermaid reads as its own are written by their codes
    text = "<br/>".join(_coded(part) for part in _texts(node))
    return f'(["{text}"])' if node.column in (Column.STARTED, Column.ANSWER) else f'["{text}"]'


def _coded(text: str) -> str:
    return "".join(char if char.isalnum() or char in " .,:-_/()*" else f"#{ord(char)};" for char in text)
