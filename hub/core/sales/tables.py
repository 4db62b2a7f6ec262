"""Tables of sales: what is known of an order, and what was booked for it."""

from datetime import date

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Table, Text, UniqueConstraint, false, true
from sqlmodel import Field, SQLModel

from hub.db.types import bigint, blob, id_column


def _flag(default: bool = False) -> bool:
    column: Column[bool] = Column(Boolean, nullable=False, server_default=true() if default else false())
    return Field(default=default, sa_column=column)  # type: ignore[no-any-return]


def _text(*, nullable: bool = False) -> str:
    column: Column[str] = Column(Text, nullable=nullable)
    return Field(default=None, sa_column=column)  # type: ignore[no-any-return]


class Party(SQLModel, table=True):
    """A customer of one connection. `key` is the shop's id, `vat:NUMBER` for a business without an account, or `guest`:
    all other guests of a connection are one party without a name, and are never matched by likeness."""

    __tablename__ = "party"
    __table_args__ = (UniqueConstraint("merchant_id", "connection_id", "key", name="party_key"),)
    id: int = id_column()
    merchant_id: int = bigint()
    connection_id: int = bigint()
    key: str
    anonymous: bool = _flag()
    #: name, company, e-mail, phone, VAT number and language as canonical JSON
    content: bytes | None = blob()
    #: the key that seals `content`; null while it is in clear
    data_key_id: int | None = bigint(nullable=True)
    created_at: int = bigint()
    updated_at: int = bigint()


class SalesOrder(SQLModel, table=True):
    """An order of a shop. Each section of its snapshot has the instant it was true (`*_as_of`) and a hash."""

    __tablename__ = "sales_order"
    __table_args__ = (
        UniqueConstraint("merchant_id", "connection_id", "external_id", name="sales_order_external"),
        UniqueConstraint("merchant_id", "ref", name="sales_order_ref"),
        CheckConstraint("state IN ('open', 'closed', 'cancelled', 'before_go_live')", name="sales_order_state"),
        Index("sales_order_placed", "merchant_id", "placed_at"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    connection_id: int = bigint()
    external_id: str
    #: what warehouses call it: made of the connection and `external_id`
    ref: str
    party_id: int | None = bigint(nullable=True, references="party.id")
    name: str
    state: str
    placed_at: int = bigint()
    currency: str
    prices_include_tax: bool = _flag()
    tax_exempt: bool = _flag()
    financial_status: str
    cancelled_at: int | None = bigint(nullable=True)
    cancel_reason: str | None = None
    total: int = bigint()
    total_tax: int = bigint()
    current_total: int = bigint()
    outstanding: int = bigint()
    #: cash rounding of the shop, apart from `total`
    rounding: int = bigint(default=0)
    presentment_total: int | None = bigint(nullable=True)
    presentment_currency: str | None = None
    #: party, addresses and note as this order names them, canonical JSON
    contact: bytes | None = blob()
    data_key_id: int | None = bigint(nullable=True)
    header_as_of: int = bigint()
    header_hash: str
    lines_as_of: int | None = bigint(nullable=True)
    lines_hash: str | None = None
    payments_as_of: int | None = bigint(nullable=True)
    payments_hash: str | None = None
    refunds_as_of: int | None = bigint(nullable=True)
    refunds_hash: str | None = None
    fulfilments_as_of: int | None = bigint(nullable=True)
    fulfilments_hash: str | None = None
    #: account of the customers that this order is booked on
    receivable: str
    #: part of `rounding` that is booked
    rounding_booked: int = bigint(default=0)
    #: all that was sold is invoiced
    invoiced: bool = _flag()
    #: when `order.ready` was announced; it is announced once
    released_at: int | None = bigint(nullable=True)
    #: when `order.cancelled` was announced
    withdrawn_at: int | None = bigint(nullable=True)
    #: questions this order has open: `kind=hash of what was found`, separated by spaces
    questions: str = _text()
    created_at: int = bigint()
    updated_at: int = bigint()


class OrderLine(SQLModel, table=True):
    """A line of an order as the shop last told it, and what was done with its goods."""

    __tablename__ = "order_line"
    __table_args__ = (
        UniqueConstraint("merchant_id", "order_id", "external_id", name="order_line_external"),
        CheckConstraint("shipped >= 0 AND returned >= 0 AND returned <= shipped", name="order_line_goods"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    order_id: int = bigint(references="sales_order.id")
    external_id: str
    position: int
    kind: str
    sku: str | None = None
    variant_id: str | None = None
    item_id: int | None = bigint(nullable=True, references="item.id")
    title: str = _text()
    quantity: int = bigint()
    current_quantity: int = bigint()
    unit_price: int = bigint()
    gross: int = bigint()
    #: JSON: [[amount, title], ...]
    discounts: str = _text()
    #: JSON: [[rate, amount, channel_liable, title], ...]
    taxes: str = _text()
    requires_shipping: bool = _flag()
    #: false: the shop's newest list of lines has it no more
    present: bool = _flag(True)
    #: units that left, and units of them that came back
    shipped: int = bigint(default=0)
    returned: int = bigint(default=0)
    #: units sent to the warehouse with `order.ready`
    released: int = bigint(default=0)
    #: units that this order took from what its own shop has for sale
    channel_taken: int = bigint(default=0)


class Document(SQLModel, table=True):
    """An issued invoice or credit note. It is never changed; `content` is all that it says."""

    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("merchant_id", "order_id", "kind", "ordinal", name="document_ordinal"),
        UniqueConstraint("merchant_id", "number", name="document_number"),
        UniqueConstraint("merchant_id", "refund_id", name="document_refund"),
        CheckConstraint("kind IN ('invoice', 'credit_note')", name="document_kind"),
        CheckConstraint("total = total_net + total_tax", name="document_total"),
        Index("document_issued", "merchant_id", "issued_at"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    order_id: int = bigint(references="sales_order.id")
    kind: str
    ordinal: int
    number: str
    #: credit notes: `edit`, `refund` or `cancel`
    reason: str | None = None
    refund_id: int | None = bigint(nullable=True, references="refund.id")
    corrects_id: int | None = bigint(nullable=True, references="document.id")
    party_id: int | None = bigint(nullable=True, references="party.id")
    currency: str
    issued_at: int = bigint()
    effective_date: date
    total_net: int = bigint()
    total_tax: int = bigint()
    total: int = bigint()
    #: null: all amounts are zero
    entry_id: int | None = bigint(nullable=True)
    #: canonical JSON of the document
    content: bytes | None = blob()
    #: SHA-256 of the content in clear
    content_hash: bytes | None = blob(nullable=False)
    data_key_id: int | None = bigint(nullable=True)


class DocumentLine(SQLModel, table=True):
    """A line of a document. Amounts are positive in a credit note too; a rounding or an adjustment may be negative."""

    __tablename__ = "document_line"
    __table_args__ = (
        UniqueConstraint("merchant_id", "document_id", "line", name="document_line_place"),
        Index("document_line_order", "merchant_id", "order_id"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    document_id: int = bigint(references="document.id")
    order_id: int = bigint(references="sales_order.id")
    line: int
    #: what it stands for: an order line's external id, `~rounding`, or `~refund:ID` for an adjustment
    source: str
    kind: str
    sku: str | None = None
    item_id: int | None = bigint(nullable=True)
    title: str = _text()
    quantity: int = bigint()
    net: int = bigint()
    tax: int = bigint()
    #: a fraction, `0.2`; null without tax
    rate: str | None = None
    vat_code: str | None = None
    account: str | None = None
    tax_account: str | None = None


class Payment(SQLModel, table=True):
    """Money that moved, by the shop's id."""

    __tablename__ = "payment"
    __table_args__ = (
        UniqueConstraint("merchant_id", "connection_id", "external_id", name="payment_external"),
        CheckConstraint("kind IN ('payment', 'refund')", name="payment_kind"),
        CheckConstraint("amount >= 0", name="payment_amount"),
        Index("payment_order", "merchant_id", "order_id"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    connection_id: int = bigint()
    order_id: int = bigint(references="sales_order.id")
    external_id: str
    kind: str
    gateway: str
    amount: int = bigint()
    currency: str
    fee: int | None = bigint(nullable=True)
    paid_at: int = bigint()
    effective_date: date
    entry_id: int | None = bigint(nullable=True)
    #: `payment.received` or `payment.refunded` was announced
    announced: bool = _flag()
    created_at: int = bigint()


class Refund(SQLModel, table=True):
    """A refund by the shop's id, with its figures. Its credit note names it (`document.refund_id`)."""

    __tablename__ = "refund"
    __table_args__ = (
        UniqueConstraint("merchant_id", "connection_id", "external_id", name="refund_external"),
        Index("refund_order", "merchant_id", "order_id"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    connection_id: int = bigint()
    order_id: int = bigint(references="sales_order.id")
    external_id: str
    refunded_at: int = bigint()
    total: int = bigint()
    note: str | None = _text(nullable=True)
    #: lines, shipping and adjustments as JSON
    content: str = _text()
    credited: bool = _flag()
    created_at: int = bigint()


class Fulfilment(SQLModel, table=True):
    """Goods that left: by a warehouse of ours, or as the shop tells it (`origin`)."""

    __tablename__ = "fulfilment"
    __table_args__ = (
        UniqueConstraint("merchant_id", "connection_id", "external_id", name="fulfilment_external"),
        CheckConstraint("origin IN ('shop', 'warehouse')", name="fulfilment_origin"),
        Index("fulfilment_order", "merchant_id", "order_id"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    connection_id: int = bigint()
    order_id: int = bigint(references="sales_order.id")
    external_id: str
    origin: str
    status: str
    carrier: str | None = None
    service: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    shipped_at: int | None = bigint(nullable=True)
    #: JSON: [[line external id, quantity], ...]
    lines: str = _text()
    created_at: int = bigint()


class ItemAlias(SQLModel, table=True):
    """A person's answer to an unknown SKU: the item that a shop's variant or SKU stands for; null: not in stock."""

    __tablename__ = "item_alias"
    __table_args__ = (UniqueConstraint("merchant_id", "connection_id", "key", name="item_alias_key"),)
    id: int = id_column()
    merchant_id: int = bigint()
    connection_id: int = bigint()
    #: `variant:ID` or `sku:SKU`
    key: str
    item_id: int | None = bigint(nullable=True, references="item.id")
    created_at: int = bigint()


PARTY: Table = Party.__table__  # type: ignore[attr-defined]
SALES_ORDER: Table = SalesOrder.__table__  # type: ignore[attr-defined]
ORDER_LINE: Table = OrderLine.__table__  # type: ignore[attr-defined]
DOCUMENT: Table = Document.__table__  # type: ignore[attr-defined]
DOCUMENT_LINE: Table = DocumentLine.__table__  # type: ignore[attr-defined]
PAYMENT: Table = Payment.__table__  # type: ignore[attr-defined]
REFUND: Table = Refund.__table__  # type: ignore[attr-defined]
FULFILMENT: Table = Fulfilment.__table__  # type: ignore[attr-defined]
ITEM_ALIAS: Table = ItemAlias.__table__  # type: ignore[attr-defined]

#: parents first
WRITE_ORDER: tuple[Table, ...] = (
    PARTY,
    SALES_ORDER,
    ORDER_LINE,
    REFUND,
    DOCUMENT,
    DOCUMENT_LINE,
    PAYMENT,
    FULFILMENT,
    ITEM_ALIAS,
)
