"""Numbers without gaps: a number is taken in the transaction that issues its document, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.errors import CoreError
from hub.core.ledger.tables import SERIES
from hub.core.plan import Plan, Row, Source
from hub.core.reading import among, rows_in

_SERIES = sa.select(SERIES).where(SERIES.c.merchant_id == sa.bindparam("merchant_id"), among(SERIES.c.code))


def _load(connection: Connection, merchant_id: int, keys: Sequence[Any]) -> Mapping[Any, Row]:
    return {row["code"]: row for row in rows_in(connection, _SERIES, keys, merchant_id=merchant_id)}


#: keyed by code: `invoice`, `invoice:2026`
SERIES_BY_CODE = Source("ledger.series", _load)


def series_key(code: str, year: int | None) -> str:
    """Code of the series of one year: `invoice:2026`."""
    return code if year is None else f"{code}:{year}"


def number_text(prefix: str, number: int) -> str:
    """A number as it stands on a document: `F2026-000001`."""
    return f"{prefix}{number:06d}"


def take_number(plan: Plan, code: str, year: int | None = None) -> str:
    """The next number of a series, `F2026-000001`. A year's series starts at 1 with its first document.

    Raises: CoreError `series.unknown`."""
    row = plan.get(SERIES_BY_CODE, series_key(code, year))
    if row is None:
        row = _open(plan, code, year)
    number: int = row["next_number"]
    plan.increment(SERIES, row, next_number=1)
    return number_text(row["prefix"], number)


def _open(plan: Plan, code: str, year: int | None) -> Row:
    base = plan.get(SERIES_BY_CODE, code) if year is not None else None
    if base is None:
        raise CoreError(
            f"there is no number series {code!r}: the chart of the book names those there are",
            kind="series.unknown",
            subject=f"series:{code}",
        )
    row = plan.insert(SERIES, {"code": series_key(code, year), "prefix": f"{base['prefix']}{year}-", "next_number": 1})
    plan.put(SERIES_BY_CODE, row["code"], row)
    return row
