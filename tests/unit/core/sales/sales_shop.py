"""A shop for the tests: it places, pays, edits, refunds, sends and cancels one order, and tells it in snapshots."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from hub.records.money import Money, allocate
from hub.records.order import (
    Address,
    Adjustment,
    DiscountAllocation,
    Fulfilment,
    FulfilmentLine,
    Fulfilments,
    Header,
    Line,
    Lines,
    Order,
    Party,
    Payment,
    Payments,
    Refund,
    RefundLine,
    Refunds,
    TaxLine,
)

FRANCE = Address(name="Jeanne Martin", line1="1 rue de Rivoli", postcode="75001", city="Paris", country="FR")
START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def eur(amount: int) -> Money:
    return Money(amount, "EUR")


def rounded(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


@dataclass
class ShopLine:
    id: str
    kind: str
    sku: str | None
    quantity: int
    price: int
    rate: Decimal | None
    discount: int = 0
    current: int = 0
    #: amounts given back so far: units, net, tax
    back: list[int] = field(default_factory=lambda: [0, 0, 0])
    removed: int = 0
    tax: int = 0
    liable: bool = False
    requires_shipping: bool = True

    @property
    def gross(self) -> int:
        return self.price * self.quantity


@dataclass
class Shop:
    """The order of a shop. `included`: its prices hold the tax."""

    id: str = "gid://shop/Order/1"
    included: bool = False
    party: Party = field(
        default_factory=lambda: Party(external_id="C1", name="Jeanne Martin", email="jeanne@example.org")
    )
    address: Address | None = FRANCE
    clock: int = 0
    lines: list[ShopLine] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    fulfilments: list[Fulfilment] = field(default_factory=list)
    cancelled_at: str | None = None
    test: bool = False
    rounding: int | None = None
    presentment: Money | None = None
    #: the shop's total when it is not the sum of its lines
    total_override: int | None = None
    placed_at: str = "2026-11-24T08:00:00Z"

    # -- what happens -----------------------------------------------------------------------------------------------

    def now(self) -> str:
        return (START + timedelta(minutes=self.clock)).isoformat().replace("+00:00", "Z")

    def tick(self) -> None:
        self.clock += 1

    def add(
        self,
        sku: str | None,
        quantity: int,
        price: int,
        rate: str | None = "0.2",
        *,
        discount: int = 0,
        kind: str = "product",
        tax: int | None = None,
        liable: bool = False,
        ships: bool = True,
    ) -> ShopLine:
        """Puts a line on the order; its tax is rounded once for the line."""
        line = ShopLine(
            f"L{len(self.lines) + 1}",
            kind,
            sku,
            quantity,
            price,
            Decimal(rate) if rate else None,
            discount,
            quantity,
            liable=liable,
            requires_shipping=kind == "product" and ships,
        )
        base = line.gross - discount
        if tax is not None:
            line.tax = tax
        elif line.rate:
            line.tax = rounded(base * line.rate / (1 + line.rate) if self.included else base * line.rate)
        self.lines.append(line)
        return line

    def ship_cost(self, price: int, rate: str | None = "0.2", **more: int) -> ShopLine:
        return self.add(None, 1, price, rate, kind="shipping", **more)  # type: ignore[arg-type]

    def net(self, line: ShopLine) -> int:
        return line.gross - line.discount - (line.tax if self.included else 0)

    def left(self, line: ShopLine) -> tuple[int, int]:
        """Net and tax of what edits and refunds left of a line."""
        net = self.net(line) - rounded(Decimal(self.net(line)) * line.removed / line.quantity)
        tax = line.tax - rounded(Decimal(line.tax) * line.removed / line.quantity)
        return net - line.back[1], tax - line.back[2]

    def pay(self, gateway: str = "shopify_payments", amount: int | None = None, fee: int | None = None) -> Payment:
        self.tick()
        payment = Payment(
            external_id=f"T{len(self.payments) + 1}",
            kind="payment",
            gateway=gateway,
            amount=eur(self.outstanding if amount is None else amount),
            paid_at=self.now(),
            fee=eur(fee) if fee is not None else None,
        )
        self.payments.append(payment)
        return payment

    def give_money_back(self, amount: int, gateway: str = "shopify_payments") -> None:
        self.payments.append(
            Payment(
                external_id=f"T{len(self.payments) + 1}",
                kind="refund",
                gateway=gateway,
                amount=eur(amount),
                paid_at=self.now(),
            )
        )

    def refund(
        self,
        lines: dict[str, int],
        *,
        restock: str = "no_restock",
        adjustments: tuple[tuple[str, int, int], ...] = (),
        total: int | None = None,
        money: bool = True,
    ) -> Refund:
        """Gives units of lines back: in proportion, the last units with what is left."""
        self.tick()
        parts: dict[str, list[RefundLine]] = {"product": [], "shipping": []}
        for line_id, units in lines.items():
            line = next(line for line in self.lines if line.id == line_id)
            if line.kind == "product":
                line.current -= units
            if line.back[0] + units == line.quantity - line.removed:
                net, tax = self.left(line)
            else:
                net = rounded(Decimal(self.net(line)) * units / line.quantity)
                tax = rounded(Decimal(line.tax) * units / line.quantity)
            line.back = [line.back[0] + units, line.back[1] + net, line.back[2] + tax]
            parts["product" if line.kind == "product" else "shipping"].append(
                RefundLine(
                    line_id=line_id,
                    quantity=units,
                    subtotal=eur(net),
                    tax=eur(tax),
                    restock=restock,  # type: ignore[arg-type]
                )
            )
        found = [Adjustment(reason=reason, amount=eur(net), tax=eur(tax)) for reason, net, tax in adjustments]
        amount = sum(part.subtotal.amount + part.tax.amount for group in parts.values() for part in group)
        amount += sum(part.amount.amount + part.tax.amount for part in found)
        refund = Refund(
            external_id=f"R{len(self.refunds) + 1}",
            refunded_at=self.now(),
            lines=parts["product"],
            shipping=parts["shipping"],
            adjustments=found,
            total=eur(amount if total is None else total),
        )
        self.refunds.append(refund)
        if money and refund.total.amount > 0:
            self.give_money_back(refund.total.amount)
        return refund

    def remove(self, line_id: str, units: int) -> None:
        """An edit takes units off the order."""
        self.tick()
        line = next(line for line in self.lines if line.id == line_id)
        line.removed += units
        line.current -= units

    def cancel(self) -> None:
        self.tick()
        self.cancelled_at = self.now()
        for line in self.lines:
            if line.current:
                line.removed += line.current
                line.current = 0

    def send(self, lines: dict[str, int], status: str = "SUCCESS") -> None:
        self.tick()
        self.fulfilments.append(
            Fulfilment(
                external_id=f"F{len(self.fulfilments) + 1}",
                status=status,
                lines=[FulfilmentLine(line_id=line_id, quantity=units) for line_id, units in lines.items()],
                shipped_at=self.now(),
            )
        )

    # -- what it says -----------------------------------------------------------------------------------------------

    @property
    def total(self) -> int:
        if self.total_override is not None:
            return self.total_override
        return sum(self.net(line) + line.tax for line in self.lines)

    @property
    def current_total(self) -> int:
        extra = sum(part.amount.amount + part.tax.amount for refund in self.refunds for part in refund.adjustments)
        unnamed = sum(
            refund.total.amount
            for refund in self.refunds
            if not (refund.lines or refund.shipping or refund.adjustments)
        )
        difference = self.total - sum(self.net(line) + line.tax for line in self.lines)
        return sum(sum(self.left(line)) for line in self.lines) - extra - unnamed + difference

    @property
    def paid(self) -> int:
        return sum(p.amount.amount if p.kind == "payment" else -p.amount.amount for p in self.payments)

    @property
    def outstanding(self) -> int:
        """Below zero: money is to be given back."""
        return self.current_total + (self.rounding or 0) - self.paid

    @property
    def status(self) -> str:
        taken = [payment for payment in self.payments if payment.kind == "payment"]
        if not taken:
            return "PAID" if self.current_total == 0 and self.cancelled_at is None and self.total == 0 else "PENDING"
        if self.outstanding > 0:
            return "PARTIALLY_PAID"
        if any(payment.kind == "refund" for payment in self.payments):
            return "REFUNDED" if self.paid == 0 else "PARTIALLY_REFUNDED"
        return "PAID"

    def header(self) -> Header:
        return Header(
            as_of=self.now(),
            name="#1001",
            placed_at=self.placed_at,
            currency="EUR",
            prices_include_tax=self.included,
            financial_status=self.status,
            cancelled_at=self.cancelled_at,
            cancel_reason="customer" if self.cancelled_at else None,
            test=self.test,
            total=eur(self.total),
            total_tax=eur(sum(line.tax for line in self.lines)),
            current_total=eur(self.current_total),
            outstanding=eur(self.outstanding),
            rounding=eur(self.rounding) if self.rounding is not None else None,
            presentment_total=self.presentment,
            party=self.party,
            billing_address=self.address,
            shipping_address=self.address,
        )

    def snapshot(self, *, payments: bool = True) -> Order:
        """The whole order as it is now; as a webhook (`payments=False`) it says nothing of the payments."""
        return Order(
            external_id=self.id,
            header=self.header(),
            lines=Lines(as_of=self.now(), items=[self._line(line) for line in self.lines]),
            payments=Payments(as_of=self.now(), items=list(self.payments)) if payments else None,
            refunds=Refunds(as_of=self.now(), items=list(self.refunds)),
            fulfilments=Fulfilments(as_of=self.now(), items=list(self.fulfilments)),
        )

    def _line(self, line: ShopLine) -> Line:
        return Line(
            external_id=line.id,
            kind=line.kind,  # type: ignore[arg-type]
            sku=line.sku,
            variant_id=f"V-{line.sku}" if line.sku else None,
            title=line.sku or line.kind,
            quantity=line.quantity,
            current_quantity=line.current,
            unit_price=eur(line.price),
            gross=eur(line.gross),
            discounts=[DiscountAllocation(amount=eur(line.discount), title="ETE10")] if line.discount else [],
            taxes=[TaxLine(title="TVA", rate=line.rate, amount=eur(line.tax), channel_liable=line.liable)]
            if line.rate is not None
            else [],
            requires_shipping=line.requires_shipping,
        )


def discount(shop: Shop, amount: int) -> None:
    """Spreads an order discount over lines that are not on the order yet priced: largest remainder."""
    goods = [line for line in shop.lines if line.kind == "product"]
    for line, part in zip(goods, allocate(amount, [line.gross for line in goods]), strict=True):
        line.discount = part
        base = line.gross - part
        if line.rate:
            line.tax = rounded(base * line.rate / (1 + line.rate) if shop.included else base * line.rate)
