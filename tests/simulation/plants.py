"""Bugs that are planted in the product for as long as a seed runs, to see that the simulation finds them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

import msgspec
import sqlalchemy as sa

from hub.core.plan import Plan
from hub.flows.steps import order_sync
from hub.inbox import arrivals, lanes
from hub.outbox import claim, plan
from hub.records.order import Payments, Refunds

Plant = Callable[[], AbstractContextManager[Any]]


def _fence_not_checked() -> AbstractContextManager[Any]:
    """A worker that lost its lanes writes all the same."""
    return mock.patch.object(lanes, "check_fences", return_value=None)


def _key_not_kept() -> AbstractContextManager[Any]:
    """Body and key of a delivery are made anew for each attempt, and not kept before the first byte is sent."""
    real, numbers = claim.vendor_key_of, iter(range(10**9))

    def made_anew(row: Any, frozen: bytes) -> str:
        return f"{real(row, frozen)[:20]}{next(numbers):020d}"

    @contextmanager
    def planted() -> Iterator[None]:
        with mock.patch.object(claim, "vendor_key_of", made_anew), mock.patch.object(claim, "_TAKE", _WITHOUT_KEY):
            yield

    return planted()


_WITHOUT_KEY = claim._TAKE.values(frozen_body=None, frozen_key=None)


def _refused_part_kept() -> AbstractContextManager[Any]:
    """What an event or a flow planned before it was refused stays in the plan."""
    return mock.patch.object(Plan, "rollback", return_value=None)


def _dedup_too_wide() -> AbstractContextManager[Any]:
    """Two deliveries of a system whose ids begin alike are taken for one."""
    real = arrivals.dedup_key

    def wide(*parts: Any) -> bytes:
        return real(*(re.sub(r"\d$", "", part) if isinstance(part, str) else part for part in parts))

    return mock.patch.object(arrivals, "dedup_key", wide)


def _absent_is_empty() -> AbstractContextManager[Any]:
    """A section of an order that a message does not bring is read as one with nothing in it."""
    real = order_sync.sync

    def sync_all(plan_: Any, order: Any, **given: Any) -> Any:
        stamp = order.header.as_of if order.header is not None else None
        if stamp is not None and (order.payments is None or not order.payments.complete):
            order = msgspec.structs.replace(order, payments=Payments(as_of=stamp))
        if stamp is not None and (order.refunds is None or not order.refunds.complete):
            order = msgspec.structs.replace(order, refunds=Refunds(as_of=stamp))
        return real(plan_, order, **given)

    return mock.patch.object(order_sync, "sync", sync_all)


def _lease_not_renewed() -> AbstractContextManager[Any]:
    """A lane that a worker has is worked to the end of its lease and beyond."""
    return mock.patch.object(lanes, "_RENEW", lanes._RENEW.where(sa.false()))


def _state_not_merged() -> AbstractContextManager[Any]:
    """Each change of a stock level is a push of its own."""
    return mock.patch.object(plan, "_UNSENT", ())


def _reference_not_awaited() -> AbstractContextManager[Any]:
    """A delivery goes out though what it refers to is not there yet."""

    def resolved(row: Any, external_ids: Any) -> bytes:
        if b'"$ref"' not in row.body:
            return bytes(row.body)
        found = claim.bodies.resolve(
            claim.bodies.decode(row.body), lambda kind, key: external_ids.get((row.connection_id, kind, key), "0")
        )
        return bytes(claim.bodies.encode(found))

    @contextmanager
    def planted() -> Iterator[None]:
        with (
            mock.patch.object(claim, "_resolved", resolved),
            mock.patch.object(plan, "_plan_references", _none_missing),
        ):
            yield

    return planted()


_plan_references = plan._plan_references


def _none_missing(*given: Any) -> list[tuple[str, str]]:
    _plan_references(*given)
    return []


#: each planted bug, by its name
PLANTS: dict[str, Plant] = {
    "fence-not-checked": _fence_not_checked,
    "key-not-kept": _key_not_kept,
    "refused-part-kept": _refused_part_kept,
    "dedup-too-wide": _dedup_too_wide,
    "absent-is-empty": _absent_is_empty,
    "lease-not-renewed": _lease_not_renewed,
    "state-not-merged": _state_not_merged,
    "reference-not-awaited": _reference_not_awaited,
}
