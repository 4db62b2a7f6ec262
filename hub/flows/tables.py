"""Tables of the flows: versions by content, what runs for whom, canaries, and runs."""

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, Text, text
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
    """Which version of a flow runs for a merchant. Unless it is pinned, it is the one of the files."""

    __tablename__ = "flow_activation"
    __table_args__ = (PrimaryKeyConstraint("merchant_id", "flow"),)
    merchant_id: int = bigint()
    flow: str
    version_hash: str
    activated_at: int = bigint()
    #: who made it run: `files`, or the person or program that pinned it
    activated_by: str
    #: the files do not change it
    pinned: bool = False
    #: the version that ran before this one; null for the first
    before_hash: str | None = None


class FlowCanary(SQLModel, table=True):
    """A version that a share of the ordering keys runs while the active one is pinned for the others, and how it does.

    states: `running`; `withdrawn` by its rule; `promoted` to all keys; `ended` by a person."""

    __tablename__ = "flow_canary"
    __table_args__ = (
        CheckConstraint("state IN ('running', 'withdrawn', 'promoted', 'ended')", name="flow_canary_state"),
        CheckConstraint("share BETWEEN 1 AND 100", name="flow_canary_share"),
        Index(
            "flow_canary_running",
            "merchant_id",
            "flow",
            unique=True,
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    flow: str
    version_hash: str
    #: of 100 ordering keys
    share: int
    #: `errors > 5% of 50`; null: only a person ends it
    rule: str | None = None
    state: str = "running"
    #: the last runs that the rule looks at, the newest at the end: `.` done, `x` parked
    recent: str = Field(default="", sa_column=Column(Text, nullable=False))
    runs: int = bigint(default=0)
    parked: int = bigint(default=0)
    #: runs of the active version meanwhile, to compare with
    stable_runs: int = bigint(default=0)
    stable_parked: int = bigint(default=0)
    started_at: int = bigint()
    started_by: str
    ended_at: int | None = bigint(nullable=True)


class FlowStamp(SQLModel, table=True):
    """Counts the changes of what runs for a merchant, so that every process notices them. `id` is the merchant's."""

    __tablename__ = "flow_stamp"
    id: int = id_column()
    changes: int = bigint()


class FlowSchedule(SQLModel, table=True):
    """When a scheduled flow of a merchant runs next. A row is claimed by moving `next_run_at` on."""

    __tablename__ = "flow_schedule"
    __table_args__ = (PrimaryKeyConstraint("merchant_id", "flow"), Index("flow_schedule_next", "next_run_at"))
    merchant_id: int = bigint()
    flow: str
    schedule: str
    zone: str
    #: null when the schedule has no further tick
    next_run_at: int | None = bigint(nullable=True)
    #: the last tick that entered the inbox
    last_run_at: int | None = bigint(nullable=True)


class Run(SQLModel, table=True):
    """One execution of one version of a flow for one event. Step payloads are recomputed when looked at; they are stored
    only for parked runs."""

    __tablename__ = "run"
    __table_args__ = (
        CheckConstraint("state IN ('done', 'stopped', 'parked')", name="run_state"),
        Index("run_event", "merchant_id", "event_seq"),
        Index(
            "run_parked",
            "merchant_id",
            "subject",
            "flow",
            sqlite_where=text("state = 'parked'"),
            postgresql_where=text("state = 'parked'"),
        ),
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
    #: of what it is parked for (`hub/inbox/error_class.py`)
    error_class: str | None = None
    #: what it changed: "invoice 12, delivery 13"
    changed: str = Field(default="", sa_column=Column(Text, nullable=False))
    scope: bytes | None = blob()
    started_at: int = bigint()
