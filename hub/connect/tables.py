"""Tables of the connector kit: connections, roles, bindings, token leases, root and data keys, used OAuth states, poll cursors."""

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from hub.db.types import bigint, blob, id_column


def _text(*, nullable: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(sa.Text, nullable=nullable, default=default)


class Connection(SQLModel, table=True):
    """One account of a merchant on a connector. `settings` is JSON without secrets; `secrets` is sealed JSON."""

    __tablename__ = "connection"
    __table_args__ = (
        sa.UniqueConstraint("merchant_id", "name"),
        sa.CheckConstraint("mode IN ('observe', 'paused', 'live')", name="connection_mode"),
        sa.CheckConstraint("status IN ('new', 'connected', 'reconnect_needed')", name="connection_status"),
    )

    id: int = id_column()
    merchant_id: int = bigint()
    name: str = Field(sa_column=_text())
    connector: str = Field(sa_column=_text())
    mode: str = Field(default="observe", sa_column=_text(default="observe"))
    #: UTC microseconds; orders placed before are read, never posted
    go_live_at: int | None = bigint(nullable=True)
    settings: str = Field(default="{}", sa_column=_text(default="{}"))
    secrets: bytes | None = blob()
    secrets_key_id: int | None = bigint(nullable=True)
    status: str = Field(default="new", sa_column=_text(default="new"))
    #: when the access token ends, UTC microseconds
    expires_at: int | None = bigint(nullable=True)
    #: since when its system has been down, UTC microseconds; null: it is not. See `hub.outbox.breaker`
    down_since: int | None = bigint(nullable=True)
    down_reason: str | None = Field(default=None, sa_column=_text(nullable=True))
    #: when the next probe may go to it, and how many did without an answer
    probe_at: int | None = bigint(nullable=True)
    probes: int = Field(default=0, sa_column=sa.Column(sa.Integer, nullable=False, default=0, server_default="0"))
    created_at: int = bigint()
    updated_at: int = bigint()


class TokenLease(SQLModel, table=True):
    """Who asks for the next tokens of a connection, and what came of it: see `hub.connect.leases`. Instants are UTC
    microseconds."""

    __tablename__ = "token_lease"
    __table_args__ = (
        sa.UniqueConstraint("merchant_id", "connection_id"),
        sa.CheckConstraint("state IN ('idle', 'asking', 'waiting', 'refused')", name="token_lease_state"),
        sa.Index(
            "token_lease_due",
            "due_at",
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        ),
    )

    id: int = id_column()
    merchant_id: int = bigint()
    connection_id: int = bigint(references="connection.id")
    state: str = Field(default="idle", sa_column=_text(default="idle"))
    #: one more with each lease: what comes with an older one is too late
    fence: int = bigint(default=0)
    #: one more with each pair of tokens that is stored
    generation: int = bigint(default=0)
    #: the generation whose refresh token gave this pair; null where a person did
    parent: int | None = bigint(nullable=True)
    #: nobody may ask before: the lease's end, the end of a back-off
    closed_until: int = bigint(default=0)
    #: when the hub asks by itself
    due_at: int | None = bigint(nullable=True)
    #: requests with this refresh token of which nobody knows what they did, one that is under way included
    unanswered: int = bigint(default=0)
    #: requests in a row that gave no tokens
    failures: int = bigint(default=0)
    reason: str | None = Field(default=None, sa_column=_text(nullable=True))
    #: the process that asks, as messages name it: its pid and a random part
    owner: str | None = Field(default=None, sa_column=_text(nullable=True))
    #: when the pair was stored
    renewed_at: int | None = bigint(nullable=True)


class RoleBinding(SQLModel, table=True):
    """A role that flows name (`shop`, `books`) and one connection that plays it."""

    __tablename__ = "role_binding"
    __table_args__ = (sa.UniqueConstraint("merchant_id", "role", "connection_id"),)

    id: int = id_column()
    merchant_id: int = bigint()
    role: str = Field(sa_column=_text())
    connection_id: int = bigint(references="connection.id")


class Binding(SQLModel, table=True):
    """The external id of a record on a connection and our id of it. `our_id` is text: an id, a SKU, a name."""

    __tablename__ = "binding"
    __table_args__ = (
        sa.UniqueConstraint("merchant_id", "connection_id", "kind", "external_id"),
        sa.UniqueConstraint("merchant_id", "connection_id", "kind", "our_id"),
    )

    id: int = id_column()
    merchant_id: int = bigint()
    connection_id: int = bigint(references="connection.id")
    kind: str = Field(sa_column=_text())
    external_id: str = Field(sa_column=_text())
    our_kind: str | None = Field(default=None, sa_column=_text(nullable=True))
    our_id: str = Field(sa_column=_text())


class DataKey(SQLModel, table=True):
    """A key of 32 bytes, sealed by a root key. `subject` is empty but for `personal` keys, one a party.

    At most one key of a merchant, purpose and subject is not retired."""

    __tablename__ = "data_key"
    __table_args__ = (
        sa.CheckConstraint("purpose IN ('vault', 'chain', 'signing', 'personal')", name="data_key_purpose"),
        sa.Index(
            "data_key_current",
            "merchant_id",
            "purpose",
            "subject",
            unique=True,
            sqlite_where=sa.text("retired_at IS NULL"),
            postgresql_where=sa.text("retired_at IS NULL"),
        ),
    )

    id: int = id_column()
    merchant_id: int = bigint()
    purpose: str = Field(sa_column=_text())
    subject: str = Field(default="", sa_column=_text(default=""))
    sealed: bytes = blob(nullable=False)
    #: id of the root key that seals it
    sealed_by: str = Field(sa_column=_text())
    created_at: int = bigint()
    retired_at: int | None = bigint(nullable=True)


class RootKey(SQLModel, table=True):
    """What is known of a root key: never the key itself. Instants are UTC microseconds."""

    __tablename__ = "root_key"

    #: its fingerprint
    id: str = Field(sa_column=sa.Column(sa.Text, primary_key=True))
    #: when it sealed something for the first time
    created_at: int = bigint()
    #: since when another one seals everything that it sealed
    retired_at: int | None = bigint(nullable=True)
    #: since when it is needed for older backups only: it seals nothing, and nothing may be sealed by it
    dropped_at: int | None = bigint(nullable=True)


class OAuthState(SQLModel, table=True):
    """What was used and works once: the `state` of an OAuth round that came back, and sign-in links (merchant 0)."""

    __tablename__ = "oauth_state"
    __table_args__ = (sa.UniqueConstraint("merchant_id", "jti"),)

    id: int = id_column()
    merchant_id: int = bigint()
    jti: str = Field(sa_column=_text())
    used_at: int = bigint()


class PollCursor(SQLModel, table=True):
    """How far the records of a connection were read. The cursor is the connector's own text."""

    __tablename__ = "poll_cursor"
    __table_args__ = (sa.UniqueConstraint("merchant_id", "connection_id", "record"),)

    id: int = id_column()
    merchant_id: int = bigint()
    connection_id: int = bigint(references="connection.id")
    record: str = Field(sa_column=_text())
    cursor: str = Field(sa_column=_text())
    updated_at: int = bigint()
