"""What the tests of the core work with: a merchant with an open book."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from hub.core.plan import Plan
from hub.db.engine import Database

#: instant of a test's first plan, 2026-11-24T08:00:00Z
NOW = 1_795_507_200_000_000
CHAIN_KEY = (1, bytes(range(32)))
MERCHANT = 1


@dataclass
class BookOfTest:
    """Merchant 1 with an open book in EUR, Europe/Paris, and a warehouse `main`."""

    database: Database
    book_id: int
    #: location ids by code
    locations: dict[str, int]
    merchant_id: int = MERCHANT
    chain_key: tuple[int, bytes] = CHAIN_KEY

    def plan(self, connection: sa.Connection, now: int = NOW) -> Plan:
        """A plan of the merchant with the chain key set. Reads with the connection."""
        made = Plan(self.merchant_id, connection, self.database.ids, now)
        made.chain_key = self.chain_key
        return made

    def key(self, data_key_id: int) -> bytes:
        """The chain key of an id, as `verify_ledger` asks for it."""
        assert data_key_id == self.chain_key[0]
        return self.chain_key[1]
