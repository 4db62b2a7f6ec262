"""What one sync works with: the order, its lines, the policy, and what it has to say at the end."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import msgspec

from hub.core.ledger.rules import Rules
from hub.core.plan import Plan, Row
from hub.core.sales.snapshot import Contact, LineState, contact_of
from hub.core.sales.tables import SALES_ORDER
from hub.core.time import local_date

#: statuses of an order that is paid, unless something is outstanding
PAID = frozenset({"PAID", "PARTIALLY_REFUNDED", "REFUNDED"})
#: statuses of an order for which no money was taken
UNPAID = frozenset({"PENDING", "AUTHORIZED", "VOIDED", "EXPIRED"})
#: questions that a person may leave as they are: raised once for one finding
_ONCE = frozenset(
    {"order.tax", "order.edited_after_release", "refund.changed", "payment.changed", "payment.currency", "stock.short"}
)
#: questions about one fact that is not looked at again: a person closes them
_STICKY = frozenset({"refund.changed", "payment.changed", "payment.currency"})
#: unpaid orders that no longer wait for money
_LAPSED = frozenset({"VOIDED", "EXPIRED"})


_json = msgspec.json.Encoder(order="deterministic").encode


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How a merchant wants orders worked on."""

    #: when an order is invoiced
    invoice: Literal["on_payment", "on_order"] = "on_payment"
    #: code of the location that goods are reserved at; null: stock is not kept here
    reserve_at: str | None = None
    #: `read`: payments that an order tells of and does not bring are read from the shop; `given`: only what comes is booked
    payments: Literal["read", "given"] = "read"
    #: distance sales to consumers of the Union are declared in their country (One Stop Shop), not at home
    oss: bool = True


def open_questions(order: Row) -> dict[str, str]:
    """Kinds of the questions that an order has open, with a hash of what was found."""
    return dict(part.split("=", 1) for part in order["questions"].split())


def questions_text(questions: dict[str, str]) -> str:
    """The open questions of an order as its row keeps them."""
    return " ".join(f"{kind}={found}" for kind, found in sorted(questions.items()))


@dataclass(slots=True)
class Work:
    """One sync of one order."""

    plan: Plan
    order: Row
    rules: Rules
    policy: Policy
    zone: str
    today: date
    lines: list[LineState] = field(default_factory=list)
    needs: set[str] = field(default_factory=set)
    #: kinds asked in this sync, with a hash of what was found
    asked: dict[str, str] = field(default_factory=dict)
    changed: bool = False
    _contact: Contact | None = None

    @property
    def subject(self) -> str:
        return f"order:{self.order['id']}"

    @property
    def contact(self) -> Contact:
        if self._contact is None:
            self._contact = contact_of(self.order)
        return self._contact

    @property
    def paid(self) -> bool:
        """The shop says that all of it is paid; more than all after an edit that made it cheaper."""
        return self.order["financial_status"] in PAID and self.order["outstanding"] <= 0

    @property
    def withdrawn(self) -> bool:
        """Cancelled before any money was taken: nothing of it is to be invoiced."""
        return self.order["cancelled_at"] is not None and self.order["financial_status"] in UNPAID

    @property
    def due(self) -> bool:
        """What was sold is to be invoiced now."""
        if self.withdrawn:
            return False
        if self.policy.invoice == "on_order":
            return self.order["financial_status"] not in _LAPSED
        return self.paid or (self.order["total"] == 0 and self.order["outstanding"] <= 0)

    def fresh(self, *sections: str) -> bool:
        """The sections were true at one instant."""
        return len({self.order[f"{section}_as_of"] for section in sections}) == 1

    def date(self, us: int) -> date:
        return local_date(us, self.zone)

    def set(self, **values: Any) -> None:
        """Sets columns of the order that differ."""
        changed = {name: value for name, value in values.items() if self.order[name] != value}
        if changed:
            self.plan.update(SALES_ORDER, self.order, **changed)
            self.changed = True

    def ask(self, kind: str, reason: str, details: Row, *answers: Row) -> None:
        """Raises a question of this order; one that is open already stays the only one of its kind. One that a person may
        settle as it is (`_ONCE`) is not raised again for the same finding."""
        found = self.asked[kind] = hashlib.blake2b(_json(details), digest_size=4).hexdigest()
        if kind in _ONCE and open_questions(self.order).get(kind) == found:
            return
        self.plan.emit(
            "question.raised",
            self.subject,
            {"kind": kind, "reason": reason, "details": details, "answers": list(answers or (RETRY,))},
        )

    def settle_questions(self, *, all_checked: bool) -> None:
        """Closes the questions that were open and have no reason any more."""
        before = open_questions(self.order)
        gone = before.keys() - self.asked.keys() - _STICKY if all_checked else set()
        if "read_back" in self.needs:
            gone = gone - {"order.unclear"}
        for kind in sorted(gone):
            self.plan.emit("question.resolved", self.subject, {"kind": kind})
        if before or self.asked:
            self.set(questions=questions_text({k: v for k, v in {**before, **self.asked}.items() if k not in gone}))


RETRY: Row = {"answer": "retry", "needs": [], "text": "It is corrected: try again"}
