"""The graph of flows: complete, in step with what is compiled, readable by machines and by those who do not see it."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.connect.registry import shipped
from hub.flows.active import flow_files
from hub.flows.drawing import boxes, mermaid, svg, told
from hub.flows.graph import Column, Graph, Node, graph
from hub.workers import scaffold
from hub.workers.admin.errors import AdminError
from hub.workers.admin.graph import drawn, shipped_svg
from hub.workers.settings import Settings

SVG = "{http://www.w3.org/2000/svg}"
FLOWS = (Column.STARTED, Column.ANSWER)


@pytest.fixture(scope="module")
def whole() -> Graph:
    return drawn()


def named(made: Graph, name: str) -> Node:
    [node] = [node for node in made.nodes if node.name == name]
    return node


def after(made: Graph, name: str) -> list[str]:
    return [target.name for source, target in made.edges if source.name == name]


def home_with(folder: Path, **flows: str) -> Settings:
    (folder / "flows").mkdir()
    for name, text in flows.items():
        (folder / "flows" / f"{name}.yaml").write_text(text, "utf-8")
    return Settings(home=folder)


def test_every_shipped_flow_is_in_it_with_what_it_leads_to(whole: Graph) -> None:
    assert {node.name for node in whole.nodes if node.column in FLOWS} == {file.name for file in flow_files()}
    assert after(whole, "shop.order") == ["shop-orders"]
    assert after(whole, "shop-orders") == ["core"]
    assert after(whole, "invoice.issued") == ["invoices-to-books", "invoices-to-mail"]
    assert after(whole, "invoices-to-books") == ["books: invoice.create"]
    assert named(whole, "books: invoice.create").lines == ("QuickBooks Online",)
    assert named(whole, "shop-orders").lines == ("map order", "order.sync")


def test_what_stands_inside_other_steps_is_in_it(whole: Graph, tmp_path: Path) -> None:
    assert named(whole, "import-items").lines == ("item.sync", "stock.move"), "the move stands inside a when"
    made = drawn(
        home_with(
            tmp_path,
            deep="""flow: deep
on: {manual: deep}
steps:
  - when:
      if: "true"
      steps: [{stop: here}]
      else:
        - when:
            if: "true"
            steps:
              - emit: {event: deep.found}
              - deliver: {role: mail, operation: message.send, key: "'k'", body: "{}"}
""",
        )
    )

    assert after(made, "deep") == ["deep.found", "mail: message.send"]


def test_all_ways_of_a_flow_and_what_it_calls_are_in_it(tmp_path: Path) -> None:
    made = drawn(
        home_with(
            tmp_path,
            many="""flow: many
on: {manual: many}
steps:
  - switch:
      on: record.kind
      cases:
        one: [{emit: {event: many.one}}]
      else:
        - for_each:
            in: record.parts
            as: part
            steps: [{call: {flow: told, with: {part: part}}}]
""",
            told="""flow: told
on: {call: [part]}
steps:
  - deliver: {role: mail, operation: message.send, key: "'k'", body: "{'to': [], 'subject': '', 'text': ''}"}
""",
        )
    )

    assert after(made, "many") == ["many.one", "mail: message.send"]


def test_a_flow_that_answers_another_flow_is_joined_to_it(tmp_path: Path) -> None:
    scaffold.write(tmp_path, scaffold.example())

    made = drawn(Settings(home=tmp_path))

    assert after(made, "shop-orders") == ["core", "order.large"]
    assert after(made, "order.large") == ["large-orders"]
    assert "order.large" not in after(made, "core"), "the core does not announce it"


def test_a_flow_that_does_not_lint_is_not_drawn(tmp_path: Path) -> None:
    with pytest.raises(AdminError) as refused:
        drawn(home_with(tmp_path, own="flow: own\non: {event: invoice.isued}\nsteps: [{stop: here}]\n"))

    assert "cannot be drawn" in str(refused.value)
    assert "flows/own.yaml:2:13: unknown-event" in refused.value.problems[0]


def test_the_picture_is_sound_and_no_boxes_overlap(whole: Graph, tmp_path: Path) -> None:
    scaffold.write(tmp_path, scaffold.example())
    for made in (whole, drawn(Settings(home=tmp_path))):
        places = boxes(made)
        root = ET.fromstring(svg(made))
        texts = [each.text for each in root.iter(f"{SVG}text")]

        assert len(places) == len(made.nodes) == len(list(root.iter(f"{SVG}rect")))
        assert {node.name for node in made.nodes} <= set(texts)
        assert len([each for each in root.iter(f"{SVG}path") if "marker-end" in each.attrib]) == len(made.edges)
        for one, other in itertools.combinations(places.values(), 2):
            apart = one.right <= other.x or other.right <= one.x
            assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y
        _, _, width, height = (float(each) for each in root.attrib["viewBox"].split())
        assert all(
            box.x >= 0 and box.right <= width and box.y >= 0 and box.y + box.height <= height for box in places.values()
        )


def test_the_picture_tells_itself_to_those_who_do_not_see_it(whole: Graph) -> None:
    root = ET.fromstring(svg(whole))
    by_id = {each.attrib["id"]: each.text for each in root.iter() if "id" in each.attrib}

    assert root.attrib["role"] == "img"
    assert [by_id[name] for name in root.attrib["aria-labelledby"].split()] == ["Flows of the hub", told(whole)]
    assert "invoices-to-books: from invoice.issued; to books: invoice.create." in told(whole)
    assert "prefers-color-scheme: dark" in svg(whole)


def test_names_cannot_break_out_of_the_picture() -> None:
    odd = Node(Column.STARTED, 'a"]<b>&c', ("x --> y; end",))
    made = Graph((odd,), ((odd, odd),))

    assert ET.fromstring(svg(made)) is not None
    assert "<b>" not in svg(made)
    [line] = [line for line in mermaid(made).splitlines() if "n1(" in line]
    assert line == '    n1(["a#34;#93;#60;b#62;#38;c<br/>x --#62; y#59; end"])'


def test_nothing_to_draw_is_a_picture_too() -> None:
    assert ET.fromstring(svg(graph([], {}))) is not None
    assert mermaid(graph([], {})) == "flowchart LR\n"


def test_the_picture_in_the_docs_is_of_the_shipped_flows() -> None:
    page = shipped("flows").parent / "docs"

    assert (page / "flows.svg").read_text("utf-8") == shipped_svg(), "run `hub docs`"
    assert "](flows.svg)" in (page / "flows.md").read_text("utf-8")


def test_the_command_draws_both_forms_alike_each_time(tmp_path: Path) -> None:
    file = tmp_path / "flows.svg"
    once, again = (CliRunner().invoke(app, ["graph", "--format", "mermaid"]) for _ in range(2))
    drawn_to = CliRunner().invoke(app, ["graph", "--out", str(file)])

    assert (once.exit_code, drawn_to.exit_code) == (0, 0), once.output + drawn_to.output
    assert once.stdout == again.stdout
    assert once.stdout.startswith("flowchart LR\n")
    assert ET.parse(file) is not None
