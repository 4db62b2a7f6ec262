"""`connections.yaml` is applied all or nothing, again without change, and never holds a secret."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hub.outbox import restored
from hub.workers.admin import connections, reports
from hub.workers.admin.errors import AdminError, NotThere

FILE = """
connections:
  source: {connector: http, mode: live, go_live_at: 2026-11-01, settings: {record: order}}
  card: {connector: quickbooks, settings: {client_id: abc}}
roles:
  source: source
  books: [card, books]
"""


def _named(desk, name):
    return next(item for item in connections.listed(desk.hub)["items"] if item["name"] == name)


def test_a_file_is_applied_and_again_changes_nothing(desk):
    first = connections.apply(desk.hub, FILE)
    before = connections.listed(desk.hub)
    again = connections.apply(desk.hub, FILE)

    assert (first["added"], first["changed"], first["unchanged"]) == (["source", "card"], [], [])
    assert (again["added"], again["changed"], again["unchanged"]) == ([], [], ["source", "card"])
    assert connections.listed(desk.hub) == before
    source = _named(desk, "source")
    # midnight in the zone of the merchant
    assert (source["mode"], source["go_live_at"]) == ("live", "2026-10-31T23:00:00.000000Z")
    assert (_named(desk, "card")["status"], _named(desk, "card")["oauth"]) == ("new", True)
    assert _named(desk, "shop")["roles"] == []
    assert _named(desk, "books")["roles"] == ["books"]


def test_a_changed_file_changes_what_it_says_and_keeps_the_rest(desk):
    connections.apply(desk.hub, FILE)
    connections.set_secrets(desk.hub, "source", {"webhook_secret": "s"})
    connections.set_mode(desk.hub, "card", "paused")

    changed = FILE.partition("roles:")[0].replace("{record: order}", "{record: sale}") + "roles: {}"
    result = connections.apply(desk.hub, changed)

    assert result["changed"] == ["source"]
    source = _named(desk, "source")
    assert (source["settings"], source["secrets"], source["roles"]) == ({"record": "sale"}, ["webhook_secret"], [])
    assert _named(desk, "card")["mode"] == "paused"


def test_what_connecting_brought_is_kept(desk):
    connections.apply(desk.hub, FILE)
    link = connections.link(desk.hub, "card")
    desk.hub.links.store(link, settings={"realm_id": "9130"})

    connections.apply(desk.hub, FILE.replace("client_id: abc", "client_id: xyz"))

    assert _named(desk, "card")["settings"] == {"client_id": "xyz", "realm_id": "9130"}


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("connections:\n  a: {connector: htpp}\n", "2:18", "no connector 'htpp'"),
        ("connections:\n  a: {mode: live}\n", "2:6", "`connector` is missing"),
        ("connections:\n  A: {connector: http}\n", "2:3", "not a name"),
        ("connections:\n  a: {connector: http, mode: on}\n", "2:30", "not a mode"),
        ("connections:\n  a: {connector: http, modes: live}\n", "2:24", "not known"),
        ("connections:\n  a: {connector: http, settings: {urls: x}}\n", "2:41", "not a setting"),
        ("connections:\n  a: {connector: http, settings: {webhook_secret: x}}\n", "2:35", "secret"),
        ("connections:\n  a: {connector: http, settings: {timestamp_tolerance: soon}}\n", "2:56", "type int"),
        ("connections:\n  a: {connector: shopify}\n", "2:6", "'shop' is missing"),
        ("connections:\n  a: {connector: http, go_live_at: soon}\n", "2:36", "no instant"),
        ("connections:\n  a: {connector: http, go_live_at: 2026-11-24T00:00:00}\n", "2:36", "no instant"),
        ("connections:\n  shop: {connector: shopify, settings: {shop: x}}\n", "2:21", "is a connection of http"),
        ("roles: {shop: nobody}\n", "1:15", "no connection 'nobody'"),
        ("roles: {shop: [shop, nobody]}\n", "1:22", "no connection 'nobody'"),
        ("role: {}\n", "1:1", "not known"),
        ("- a\n", "1:1", "`connections` and `roles`"),
        ("connections: {a: &x {connector: http}}\n", "1:18", "anchor"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_nothing_is_changed(desk, text, place, says):
    before = connections.listed(desk.hub)

    with pytest.raises(AdminError) as refused:
        connections.apply(desk.hub, text)

    assert any(f"connections.yaml:{place}:" in problem and says in problem for problem in refused.value.problems), (
        refused.value.problems
    )
    assert connections.listed(desk.hub) == before


def test_secrets_are_sealed_and_never_shown(desk):
    connections.set_secrets(desk.hub, "shop", {"webhook_secret": "very secret", "authorization": "Bearer x"})

    assert "very secret" not in str(connections.listed(desk.hub))
    assert _named(desk, "shop")["secrets"] == ["authorization", "webhook_secret"]
    with desk.hub.database.read() as connection:
        [sealed] = connection.execute(sa.text("SELECT secrets FROM connection WHERE secrets IS NOT NULL")).scalars()
    assert b"very secret" not in bytes(sealed)
    connections.set_secrets(desk.hub, "shop", {"authorization": "Bearer y"})
    assert connections.link(desk.hub, "shop").secrets["webhook_secret"] == "very secret"


@pytest.mark.parametrize("secrets", [{"webhook_secrets": "x"}, {"webhook_secret": ""}, {}, {"record": "x"}])
def test_secrets_that_the_connector_does_not_know_are_refused(desk, secrets):
    with pytest.raises(AdminError):
        connections.set_secrets(desk.hub, "shop", secrets)


def test_a_connection_that_is_not_there_is_said(desk):
    with pytest.raises(NotThere, match="there are books, shop"):
        connections.link(desk.hub, "shopp")


def test_deliveries_wait_while_a_connection_is_paused(desk, httpserver):
    httpserver.expect_request("/invoices").respond_with_json({"id": "77"})
    connections.set_mode(desk.hub, "books", "paused")
    desk.order()
    assert [each["state"] for each in reports.outbox(desk.hub)["items"]] == ["planned"]
    assert httpserver.log == []
    assert reports.status(desk.hub)["idle"]

    connections.set_mode(desk.hub, "books", "live")
    desk.work()

    assert [each["state"] for each in reports.outbox(desk.hub)["items"]] == ["confirmed"]


def test_a_connection_that_first_goes_live_does_so_from_now_on(desk):
    connections.apply(desk.hub, "connections: {new: {connector: http}}")
    assert _named(desk, "new")["go_live_at"] is None

    assert connections.set_mode(desk.hub, "new", "live")["go_live_at"] is not None
    named = connections.set_mode(desk.hub, "new", "live", go_live_at="2026-11-01T00:00:00+01:00")
    assert named["go_live_at"] == "2026-10-31T23:00:00.000000Z"
    with pytest.raises(AdminError, match="no instant"):
        connections.set_mode(desk.hub, "new", "live", go_live_at="soon")


def test_what_a_connector_cannot_do_is_said(desk):
    with pytest.raises(AdminError, match="keeps no stock"):
        connections.adopt_stock(desk.hub, "shop")
    assert connections.setup(desk.hub, "shop", "https://x.example/webhooks/shop")["result"] is None
    assert not connections.check(desk.hub, "shop")["checked"]


def _mark(desk):
    with desk.hub.database.write() as connection:
        restored.mark(connection, backed_up_at=0, now=desk.hub.clock())


def _released(desk):
    with desk.hub.database.write() as connection:
        restored.release(connection, 1, [int(_named(desk, "source")["id"])], desk.hub.clock())


CHANGES = {
    "mode": lambda desk: connections.set_mode(desk.hub, "source", "paused"),
    "file": lambda desk: connections.apply(desk.hub, FILE.replace("mode: live", "mode: paused")),
    "restored": _mark,
    "released": _released,
}


@pytest.mark.parametrize("changed", CHANGES)
def test_a_process_whose_clock_is_ahead_sees_each_change_of_a_connection(desk, changed):
    connections.apply(desk.hub, FILE)
    if changed == "released":
        _mark(desk)
    number = int(_named(desk, "source")["id"])
    ahead = desk.hub.clock() + 3_600_000_000
    with desk.hub.database.write() as connection:  # it changed the connection last
        statement = connections.CONNECTION.update().where(connections.CONNECTION.c.id == number)
        connection.execute(statement.values(updated_at=ahead))
    before = _named(desk, "source")["mode"]

    CHANGES[changed](desk)

    assert _named(desk, "source")["mode"] != before
    assert desk.hub.links.row(number)["updated_at"] > ahead


def test_a_file_is_compared_with_rows_that_nobody_changes_meanwhile(desk):
    connections.apply(desk.hub, FILE)
    statements = []

    def note(_connection, _cursor, statement, *_):
        statements.append(statement)

    sa.event.listen(desk.hub.database.engine, "before_cursor_execute", note)
    try:
        connections.apply(desk.hub, FILE)
    finally:
        sa.event.remove(desk.hub.database.engine, "before_cursor_execute", note)
    if desk.hub.database.sqlite:
        assert not any("FOR UPDATE" in each for each in statements), "there is one writer"
    else:
        assert any("FOR UPDATE" in each and "FROM connection" in each for each in statements)
