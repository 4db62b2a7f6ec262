"""`hub verify` on a hub that worked: whatever an owner of the tables spoils is found, and its place named."""

from __future__ import annotations

import pytest
from pytest_httpserver import HTTPServer
from tampering import tamper

from hub.workers.admin.events import trigger
from hub.workers.admin.verify import verify

ORDERS = 5
_ENTRY = "(SELECT id FROM entry WHERE document_ref = 'F2026-000003' AND kind = 'invoice')"
_LAST = "(SELECT id FROM entry WHERE seq = (SELECT max(seq) FROM entry))"


def _drop(entry: str) -> list[str]:
    return [
        f"DELETE FROM posting WHERE entry_id = {entry}",
        f"DELETE FROM entry_seal WHERE id = {entry}",
        f"DELETE FROM entry WHERE id = {entry}",
    ]


#: what is spoilt -> the statements, and a word of the place that must be named
CORRUPTIONS: dict[str, tuple[list[str], str]] = {
    "amount": ([f"UPDATE posting SET amount = amount + 1 WHERE line = 2 AND entry_id = {_ENTRY}"], "entry"),
    "date": ([f"UPDATE entry SET effective_date = '2020-01-01' WHERE id = {_ENTRY}"], "entry"),
    "account": (
        [
            "UPDATE posting SET account_id = (SELECT id FROM account WHERE code = '707200' AND currency = 'EUR')"
            f" WHERE line = 2 AND entry_id = {_ENTRY}"
        ],
        "entry",
    ),
    "VAT code": ([f"UPDATE posting SET vat_code = 'X' WHERE line = 2 AND entry_id = {_ENTRY}"], "entry"),
    "order of entries": (
        [
            "UPDATE entry SET seq = 9999 WHERE seq = 2",
            "UPDATE entry SET seq = 2 WHERE seq = 3",
            "UPDATE entry SET seq = 3 WHERE seq = 9999",
        ],
        "entry 2",
    ),
    "missing posting": ([f"DELETE FROM posting WHERE line = 2 AND entry_id = {_ENTRY}"], "entry"),
    "missing entry": (_drop(_ENTRY), "entry"),
    "number gap": (
        [
            "DELETE FROM document_line WHERE document_id IN (SELECT id FROM document WHERE number = 'F2026-000002')",
            "DELETE FROM document WHERE number = 'F2026-000002'",
        ],
        "F2026-000002",
    ),
    "chain cut": ([f"UPDATE entry SET prev_hash = hash WHERE id = {_ENTRY}"], "entry"),
    "tail cut": ([*_drop(_LAST), "UPDATE book SET next_seq = next_seq - 1"], "book"),
    "balance row": (
        ["UPDATE balance SET amount = amount + 1 WHERE id = (SELECT id FROM account WHERE code = '445711')"],
        "445711",
    ),
    "stock row": (
        ["UPDATE stock_level SET on_hand = on_hand + 1 WHERE on_hand > 0 AND guarded"],
        "MUG-01",
    ),
}


@pytest.fixture
def worked(desk, httpserver: HTTPServer):
    httpserver.expect_request("/invoices", method="POST").respond_with_json({"id": 1}, status=201)
    trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug", "quantity": 50}])
    desk.work()
    for number in range(1001, 1001 + ORDERS):
        desk.order(number)
    assert verify(desk.hub) == {"ok": True, "faults": []}
    return desk


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_of_twelve_corruptions_is_found_and_located(worked, owner_url: str, name: str) -> None:
    statements, place = CORRUPTIONS[name]
    tamper(owner_url, *statements)

    found = verify(worked.hub)

    assert not found["ok"]
    assert any(place in fault["place"] for fault in found["faults"]), found["faults"]


def test_there_are_twelve() -> None:
    assert len(CORRUPTIONS) == 12
