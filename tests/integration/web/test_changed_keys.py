"""A running hub whose root key is changed: what the old one signed is good until it is dropped, and the hub goes on."""

from __future__ import annotations

import httpx2

from hub.connect.rootkeys import KeyRing
from hub.web.access import Keys


def _works(server, token: str) -> bool:
    headers = {"authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        return client.get("/api/status").status_code == 200


def test_tokens_of_an_old_key_end_when_it_is_dropped_and_the_own_token_does_not(server, admin):
    before = admin.post("/api/tokens", json={"days": 1}).json()["token"]
    metrics = Keys(server.hub.vault.roots).metrics_token(60)

    done = admin.post("/api/keys/rotate").json()
    after = admin.post("/api/tokens", json={"days": 1}).json()["token"]
    # another process of the same home, such as `hub token`
    elsewhere = Keys(KeyRing.of(server.settings.home)).api_token(60)

    assert all(_works(server, each) for each in (before, after, elsewhere))
    dropped = admin.post(f"/api/keys/{done['old'][0]}/drop").json()
    assert dropped["state"] == "dropped"
    assert not _works(server, before)
    assert not server._keys.allows_metrics(metrics)
    assert all(_works(server, each) for each in (after, elsewhere))
    assert _works(server, server.token)  # what commands on this machine reach it by
    assert [each["state"] for each in admin.get("/api/keys").json()["items"]] == ["seals", "dropped"]


def test_a_key_that_seals_is_not_dropped_and_one_that_is_unknown_is_404(server, admin):
    (only,) = admin.get("/api/keys").json()["items"]

    refused = admin.post(f"/api/keys/{only['id']}/drop")

    assert refused.status_code == 400
    assert "run `hub keys rotate` first" in refused.json()["error"]
    assert admin.post("/api/keys/0123456789abcdef/drop").status_code == 404


def test_webhooks_with_sealed_secrets_go_on(server, admin, desk, send):
    assert (
        send({"id": 1, "changed_at": "2026-11-24T09:00:00Z"}, **{"x-delivery": "1", "x-topic": "orders"}).status_code
        == 200
    )
    old = admin.post("/api/keys/rotate").json()["old"]
    admin.post(f"/api/keys/{old[0]}/drop")
    server.hub.links.forget(desk)

    assert (
        send({"id": 2, "changed_at": "2026-11-24T09:00:00Z"}, **{"x-delivery": "2", "x-topic": "orders"}).status_code
        == 200
    )
