"""Connections as rows and as links, in a database of each engine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from hub.connect import grants, oauth
from hub.connect import links as connections
from hub.connect.links import Link, Links, SettingsError, UnknownConnection, UnknownOperation
from hub.connect.registry import Registry
from hub.connect.rootkeys import root_key
from hub.connect.tables import Connection
from hub.connect.vault import Vault
from hub.db.engine import Database

SETTINGS = {"shop": "x.myshopify.com", "client_id": "app", "client_secret": "s3cret-of-the-app"}


@pytest.fixture
def links(database: Database) -> Iterator[Links]:
    database.ids.ensure(50)
    made = Links(Registry.discover(), Vault([root_key(secrets.token_bytes(32))], database.ids), database)
    yield made
    made.close()


def create(links: Links, settings: dict[str, Any] = SETTINGS, name: str = "shop") -> Link:
    connection_id = links.database.ids.next()
    with links.database.write() as connection:
        connections.create(
            connection,
            links.registry,
            links.vault,
            connection_id=connection_id,
            merchant_id=1,
            name=name,
            connector="shopify",
            settings=settings,
        )
    return links.open(connection_id)


def test_secrets_are_sealed_apart_from_settings(links: Links) -> None:
    link = create(links)

    row = links.row(link.id)
    assert "s3cret" not in row["settings"]
    assert b"s3cret" not in bytes(row["secrets"])
    assert (row["status"], row["mode"]) == ("new", "observe")
    assert link.secrets == {"client_secret": "s3cret-of-the-app"}
    assert link.settings["version"] == "2026-10"  # a default of the manifest
    assert "s3cret" not in repr(link)
    assert not link.connected


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"shop": 1}, "'shop' must be of type text"),
        ({}, "'shop' is missing"),
        (SETTINGS | {"colour": "red"}, "'colour' is not a setting"),
        (SETTINGS | {"client_secret": 5}, "'client_secret' must be a text"),
    ],
)
def test_settings_that_do_not_fit_are_refused(links: Links, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        create(links, settings)


def test_a_link_is_the_same_object_and_sees_what_changed(links: Links) -> None:
    link = create(links)
    assert links.open(link.id) is link

    with links.database.write() as connection:
        connections.update_settings(
            connection, links.registry, links.vault, link.id, {"shop": "y.myshopify.com", "client_id": "app"}
        )
    links.forget(link.id)

    assert links.open(link.id) is link
    assert link.settings["shop"] == "y.myshopify.com"
    assert link.secrets == {"client_secret": "s3cret-of-the-app"}  # those not given are kept
    with pytest.raises(UnknownConnection):
        links.open(999_999)
    with pytest.raises(UnknownOperation):
        link.operation("nope")


def test_tokens_are_stored_before_they_are_used_and_another_process_sees_them(links: Links) -> None:
    link = create(links)
    elsewhere = Links(links.registry, links.vault, links.database)
    other = elsewhere.open(link.id)

    link.keep(grants.Tokens("token-1", "refresh-1", 5, None))
    # the other process still has none, and finds them before it asks the vendor for more
    other.renew("")

    assert (other.secrets["access_token"], other.secrets["refresh_token"]) == ("token-1", "refresh-1")
    assert links.row(link.id)["expires_at"] == 5
    link.keep(grants.Tokens("token-2", None, None, None))
    assert (link.secrets["access_token"], link.secrets["refresh_token"]) == ("token-2", "refresh-1")


def test_a_state_is_used_once_in_all_processes(links: Links) -> None:
    link = create(links)

    oauth._use_once(link, "round-1")

    with pytest.raises(oauth.OAuthRefused):
        oauth._use_once(Links(links.registry, links.vault, links.database).open(link.id), "round-1")


def test_a_name_is_taken_once_by_a_merchant(links: Links) -> None:
    create(links)
    with pytest.raises(sa.exc.IntegrityError):
        create(links)
    with links.database.read() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(Connection.__table__))  # type: ignore[attr-defined]
        assert count.scalar_one() == 1
