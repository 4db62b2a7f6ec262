"""Tables of the outbox: deliveries, what they wait for, the log of confirmed effects, connections out of a backup."""

from enum import StrEnum

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, PrimaryKeyConstraint, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from hub.db.types import BIGINT, bigint, blob, id_column


class DeliveryState(StrEnum):
    """Life of a delivery."""

    PLANNED = "planned"
    WAITING = "waiting"
    SENDING = "sending"
    RETRY = "retry"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    UNCERTAIN = "uncertain"
    SUPERSEDED = "superseded"
    OBSERVED = "observed"


_STATES = ", ".join(f"'{state}'" for state in DeliveryState)


class Delivery(SQLModel, table=True):
    """One intended write to one system. A fact has version 0; a state delivery (stock, price) has one version a push."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("merchant_id", "connection_id", "operation", "key", "version", name="delivery_key"),
        CheckConstraint(f"state IN ({_STATES})", name="delivery_state"),
        Index(
            "delivery_open",
            "connection_id",
            "operation",
            "created_at",
            "id",
            sqlite_where=text("state IN ('planned', 'retry', 'sending', 'waiting')"),
            postgresql_where=text("state IN ('planned', 'retry', 'sending', 'waiting')"),
        ),
        Index(
            "delivery_open_key",
            "connection_id",
            "ordering_key",
            "created_at",
            "id",
            sqlite_where=text("state IN ('planned', 'retry', 'sending', 'waiting')"),
            postgresql_where=text("state IN ('planned', 'retry', 'sending', 'waiting')"),
        ),
        Index("delivery_event", "merchant_id", "event_seq"),
        Index(
            "delivery_parked",
            "merchant_id",
            "id",
            sqlite_where=text("state IN ('rejected', 'uncertain')"),
            postgresql_where=text("state IN ('rejected', 'uncertain')"),
        ),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    connection_id: int = bigint()
    operation: str
    key: str
    version: int = 0
    #: how the operation is made safe: native_key, find_first, compare_and_set or none
    ladder: str
    is_state: bool = False
    #: a find-or-create that others reference: planned again with other content, the first stands
    is_ensure: bool = False
    ordering_key: str
    #: JSON with unresolved references; null for a state delivery, whose number is computed when it is sent
    body: bytes | None = blob()
    #: of the body as it was planned: a person may edit what is sent, planned again it is the same still
    body_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32)))
    #: resolved JSON and the vendor's idempotency key, stored before the first byte is sent and used on each retry
    frozen_body: bytes | None = blob()
    frozen_key: str | None = None
    data_key_id: int | None = bigint(nullable=True)
    state: str
    attempts: int = 0
    #: counts all attempts, whoever began them: the outcome of one is that of the last only if it has its number
    fence: int = Field(default=0, sa_column=Column(BIGINT, nullable=False, default=0, server_default="0"))
    #: an earlier attempt may have arrived
    maybe_sent: bool = False
    #: the first attempt, from which the vendor's memory of the key counts
    first_sent_at: int | None = bigint(nullable=True)
    #: how often a compare-and-set found another value than it was told
    stale: int = 0
    next_attempt_at: int = bigint(default=0)
    #: it gives up after so many attempts, or so long after the first; null: never
    retry_attempts: int | None = None
    retry_within_us: int | None = bigint(nullable=True)
    lease_owner: str | None = None
    lease_until: int = bigint(default=0)
    reason: str | None = Field(default=None, sa_column=Column(Text))
    #: of what it is parked for, or fails for again and again (`hub/inbox/error_class.py`)
    error_class: str | None = None
    external_id: str | None = None
    event_seq: int | None = bigint(nullable=True)
    run_id: int | None = bigint(nullable=True)
    created_at: int = bigint()
    finished_at: int | None = bigint(nullable=True)


class DeliveryEdit(SQLModel, table=True):
    """A body of a delivery that a person replaced, kept with who did it and why. Number 1 is the body as it was planned."""

    __tablename__ = "delivery_edit"
    __table_args__ = (PrimaryKeyConstraint("delivery_id", "number"),)
    merchant_id: int = bigint()
    delivery_id: int = bigint()
    number: int
    #: what was replaced
    body: bytes | None = blob()
    edited_by: str
    why: str | None = Field(default=None, sa_column=Column(Text))
    edited_at: int = bigint()


class DeliveryReference(SQLModel, table=True):
    """A thing that must exist remotely before a delivery can be sent."""

    __tablename__ = "delivery_reference"
    __table_args__ = (
        PrimaryKeyConstraint("delivery_id", "kind", "key"),
        Index("delivery_reference_key", "merchant_id", "connection_id", "kind", "key"),
    )
    merchant_id: int = bigint()
    connection_id: int = bigint()
    delivery_id: int = bigint()
    kind: str
    key: str


class Effect(SQLModel, table=True):
    """One row per confirmed external effect, in an HMAC-keyed chain. Holds no personal data."""

    __tablename__ = "effect_log"
    __table_args__ = (PrimaryKeyConstraint("merchant_id", "seq"),)
    merchant_id: int = bigint()
    seq: int = bigint()
    delivery_id: int = bigint()
    connection_id: int = bigint()
    operation: str
    key: str
    version: int
    external_id: str | None = None
    body_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    confirmed_at: int = bigint()
    encoding_version: int
    data_key_id: int = bigint()
    prev_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))


class EffectHead(SQLModel, table=True):
    """Head of a merchant's effect log: its length and last hash."""

    __tablename__ = "effect_head"
    __table_args__ = (PrimaryKeyConstraint("merchant_id"),)
    merchant_id: int = bigint()
    seq: int = bigint()
    hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))


class Restored(SQLModel, table=True):
    """A connection that came out of a backup. The hub that was lost may have sent on it after the backup was made, of which
    nothing is known here: it is paused until a person releases it."""

    __tablename__ = "restored"
    __table_args__ = (CheckConstraint("mode IN ('observe', 'paused', 'live')", name="restored_mode"),)
    connection_id: int = id_column()
    merchant_id: int = bigint()
    #: the mode that it had, and has again once it is released
    mode: str
    #: when the backup was made, UTC microseconds
    backed_up_at: int = bigint()
    restored_at: int = bigint()
    #: ids of before the restore are below, those given since are not
    first_id: int = bigint()
    #: null: it waits for a person
    released_at: int | None = bigint(nullable=True)
    #: the last event that was in when it was released: what follows from it or an earlier one may have been sent before
    last_seq: int | None = bigint(nullable=True)
