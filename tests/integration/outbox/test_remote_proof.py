"""`hub prove --remote`: the log beside the list of a REST system that is described by YAML alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_hub import Lab, serving
from pytest_httpserver import HTTPServer
from tampering import tamper
from werkzeug import Request, Response

from hub.connect.errors import Throttled, Unreadable
from hub.connect.listing import listing
from hub.db.engine import Database
from hub.workers.admin.prove_remote import prove_remote

PAGINGS = {
    "page": ('{since: "{since}", page: "{page}", limit: "{size}"}', "{by: page, size: 2}"),
    "offset": ('{since: "{since}", start: "{offset}", limit: "{size}"}', "{by: offset, size: 2, first: 0}"),
    "cursor": ('{since: "{since}", after: "{cursor}", limit: "{size}"}', "{by: cursor, size: 2, next: next}"),
}
MANIFEST = """
connector: depot
title: Depot
settings: {{token: {{type: secret}}}}
operations:
  invoice.create:
    ladder: native_key
    key: {{at: header, name: idempotency-key}}
    request: {{path: /invoices}}
    answer: {{id: id}}
    proof:
      path: /invoices
      query: {query}
      items: items
      paging: {paging}
      key: number
      mine: {{note: "^hub:"}}
      same:
        total: {{there: total, here: "sum([line.amount for line in lines])"}}
  message.send:
    ladder: none
    request: {{path: /messages}}
    answer: {{id: id}}
"""


class Depot:
    """A system that keeps invoices and lists them, two on a page."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("").rstrip("/")
        self.invoices: list[dict[str, Any]] = []
        self.made = 0
        self.asked: list[dict[str, str]] = []
        #: answers that come before the list is given
        self.refusals: list[Response] = []
        server.expect_request("/invoices", method="POST").respond_with_handler(self._create)
        server.expect_request("/invoices", method="GET").respond_with_handler(self._list)
        server.expect_request("/messages").respond_with_json({"id": "m1"})

    def add(self, number: str, total: Any, note: str = "") -> dict[str, Any]:
        self.made += 1
        made = {"id": f"d{self.made}", "number": number, "total": total, "note": note}
        self.invoices.append(made)
        return made

    def _create(self, request: Request) -> Response:
        body = json.loads(request.data)
        total = sum(line["amount"] for line in body["lines"])
        return _json(self.add(body["number"], total, body["note"]))

    def _list(self, request: Request) -> Response:
        if self.refusals:
            return self.refusals.pop()
        query = dict(request.args)
        self.asked.append(query)
        page = 2 * (int(query.get("page", "1")) - 1)
        start = page + int(query.get("start", "0")) + int(query.get("after", "0"))
        after = start + 2
        return _json({"items": self.invoices[start:after], "next": str(after) if after < len(self.invoices) else None})


def _json(value: Any, status: int = 200, **headers: str) -> Response:
    return Response(json.dumps(value), status, {"content-type": "application/json", **headers})


@pytest.fixture
def make(database: Database, tmp_path: Path, httpserver: HTTPServer) -> Iterator[Callable[..., tuple[Lab, Depot]]]:
    """A hub with the connection `depot`, whose list goes on in one of the ways of `PAGINGS`."""
    with serving() as (system, url):
        labs: list[Lab] = []

        def make(paging: str = "page") -> tuple[Lab, Depot]:
            folder = tmp_path / "home" / "connectors" / "depot"
            folder.mkdir(parents=True)
            query, spec = PAGINGS[paging]
            (folder / "connector.yaml").write_text(MANIFEST.format(query=query, paging=spec))
            lab, depot = Lab(database, tmp_path / "home", system, url), Depot(httpserver)
            labs.append(lab)
            lab.depot = lab.connect("depot", ("archive",), connector="depot", url=depot.url)
            return lab, depot

        yield make
        for lab in labs:
            lab.hub.intake.close()
            lab.hub.links.close()


def _send(lab: Lab, count: int, first: int = 1) -> None:
    for number in range(first, first + count):
        body = {"number": f"F{number}", "lines": [{"amount": number}, {"amount": 10}], "note": f"hub:{number}"}
        lab.plan("invoice.create", f"F{number}", body, ordering="one", connection_id=lab.depot, connector="depot")
    lab.send()
    lab.clock.forward(1)


def _found(lab: Lab) -> list[tuple[str, int | None, str]]:
    return [(each["check"], each["seq"], each["message"]) for each in prove_remote(lab.hub)["faults"]]


ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_what_agrees_is_proven_and_what_cannot_be_compared_is_said(make: Any) -> None:
    lab, depot = make()
    _send(lab, 5)
    depot.add("M-1", 7)  # the merchant's own
    lab.plan("message.send", "M1", {}, connection_id=lab.depot, connector="depot")
    lab.send()

    found = prove_remote(lab.hub)

    assert found["ok"], found["faults"]
    assert found["compared"] == [
        {"connection": "depot", "operation": "invoice.create", "here": 5, "there": 6, "others": 1}
    ]
    assert found["not_compared"] == [
        {"connection": "depot", "operation": "message.send", "here": 1, "why": "what was sent cannot be asked for"}
    ]


@ON_SQLITE
@pytest.mark.parametrize("paging", PAGINGS)
def test_a_list_of_many_pages_is_read_to_its_end(make: Any, paging: str) -> None:
    lab, depot = make(paging)
    _send(lab, 7)

    found = prove_remote(lab.hub)

    assert found["ok"], found["faults"]
    assert found["compared"][0]["there"] == 7
    assert len(depot.asked) == 4
    assert all(asked["since"] == "2026-11-23T08:00:00Z" for asked in depot.asked), "a day before the first"


def test_missing_twice_unknown_and_another_total_are_named(make: Any) -> None:
    lab, depot = make()
    _send(lab, 6)
    depot.invoices[0]["total"] = 99
    depot.invoices[1]["number"] = "F3"  # as one of another invoice
    del depot.invoices[4]
    depot.add("F77", 1, "hub:77")

    assert _found(lab) == [
        ("remote.total", 1, "depot: invoice.create F1 (d1): total is 99 there and 11 here"),
        ("remote.missing", 5, "depot: invoice.create F5: there is no d5"),
        ("remote.twice", None, "depot: invoice.create F3 is there 2 times: d2, d3"),
        ("remote.unknown", None, "depot: invoice.create: F77 (d7) bears the hub's mark, and the hub does not know it"),
    ]


@ON_SQLITE
def test_a_hub_that_was_restored_learns_what_it_has_forgotten(make: Any, owner_url: str) -> None:
    """Of two invoices the confirmation is forgotten, of one even the delivery."""
    lab, _ = make()
    _send(lab, 4)
    lab.hub.links.close()
    tamper(
        owner_url,
        "DELETE FROM effect_log WHERE seq > 1",
        "DELETE FROM delivery WHERE key = 'F4'",
        "UPDATE delivery SET state = 'planned', external_id = NULL WHERE key IN ('F2', 'F3')",
    )
    [f2, f3] = [row.id for row in lab.deliveries(state="planned")]

    found = prove_remote(lab.hub)

    assert [(each["check"], each["delivery"], each["message"]) for each in found["faults"]] == [
        ("remote.unconfirmed", str(f2), "depot: invoice.create F2 is there as d2, and its delivery is planned here"),
        ("remote.unconfirmed", str(f3), "depot: invoice.create F3 is there as d3, and its delivery is planned here"),
        ("remote.unknown", None, "depot: invoice.create: F4 (d4) bears the hub's mark, and the hub does not know it"),
    ]
    tamper(owner_url, "DELETE FROM effect_log", "DELETE FROM delivery")
    assert prove_remote(lab.hub)["counts"] == {"remote.unknown": 4}


@ON_SQLITE
def test_a_system_that_asks_to_wait_is_waited_for(make: Any) -> None:
    lab, depot = make()
    _send(lab, 3)
    link, waited = lab.hub.links.open(lab.depot), []
    depot.refusals = [_json({}, 429, **{"retry-after": "30"}) for _ in range(3)]

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        lab.clock.forward(seconds)

    records = list(listing(link, "invoice.create", "2026-11-24T00:00:00Z", sleep=sleep))

    assert [each["number"] for each in records] == ["F1", "F2", "F3"]
    assert waited == [30.0, 30.0, 30.0]
    depot.refusals = [_json({}, 429, **{"retry-after": "3000"})]
    with pytest.raises(Throttled):
        list(listing(link, "invoice.create", "2026-11-24T00:00:00Z", sleep=sleep))


@ON_SQLITE
def test_a_list_without_an_end_and_a_system_that_is_away_are_faults(make: Any, httpserver: HTTPServer) -> None:
    lab, _ = make("cursor")
    _send(lab, 3)
    link = lab.hub.links.open(lab.depot)
    httpserver.clear()
    httpserver.expect_request("/invoices").respond_with_json({"items": [], "next": "again"})

    with pytest.raises(Unreadable, match="it has no end"):
        list(listing(link, "invoice.create", "2026-11-24T00:00:00Z"))
    [(check, _, message)] = _found(lab)
    assert check == "remote.unreachable"
    assert "it has no end" in message
