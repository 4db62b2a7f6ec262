"""Tables of the flows: versions by content, what runs for whom, and runs."""

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from hub.db.types import bigint, blob, id_column


class FlowVersion(SQLModel, table=True):
    """One version of a flow, hub-wide, by the hash of its text, its mappings' texts and the language version."""

    __tablename__ = "flow_version"
    hash: str = Field(primary_key=True)
    name: str
    #: JSON: {"flow": text, "file": name, "mappings": {name: text}}
    text: str = Field(sa_column=Column(Text, nullable=False))
    language_version: int
    created_at: int = bigint()


class FlowActivation(SQLModel, table=True):
    """Which version of a flow runs for a merchant."""

    __tablename__ = "flow_activation"
    __table_args__ = (PrimaryKeyConstraint("merchant_id", "flow"),)
    merchant_id: int = bigint()
    flow: str
    version_hash: str
    activated_at: int = bigint()


class Run(SQLModel, table=True):
    """One execution of one version of a flow for one event. Step payloads are recomputed when looked at; they are stored
    only for parked runs."""

    __tablename__ = "run"
    __table_args__ = (
        CheckConstraint("state IN ('done', 'stopped', 'parked')", name="run_state"),
        Index("run_event", "merchant_id", "event_seq"),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    event_seq: int = bigint()
    flow: str
    version_hash: str
    #: the core event and subject it answers; null for the flow of the event itself
    trigger: str | None = None
    subject: str | None = None
    state: str
    reason: str | None = Field(default=None, sa_column=Column(Text))
    #: what it changed: "invoice 12, delivery 13"
    changed: str = Field(default="", sa_column=Column(Text, nullable=False))
    scope: bytes | None = blob()
    started_at: int = bigint()
