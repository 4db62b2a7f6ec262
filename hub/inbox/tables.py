"""Tables of the inbox: events, the keys seen, lanes, runs' questions."""

from sqlalchemy import CheckConstraint, Column, Identity, Index, LargeBinary, PrimaryKeyConstraint, Text, text
from sqlmodel import Field, SQLModel

from hub.db.types import BIGINT, bigint, blob, id_column

#: kinds of events whose record is read from its system
READ_KINDS = ("read", "poll", "backfill")


class Inbox(SQLModel, table=True):
    """One event. `seq` is given by the database at insert; the events of one ordering key are worked on in its order.

    states: `fetch` a remote read is due first; `ready`; `retry` after `next_attempt_at`; `done`; `parked` with a question.
    kinds: webhook, poll, backfill, read (a read-back), manual, schedule, core (a flow that answers later).
    """

    __tablename__ = "inbox"
    __table_args__ = (
        CheckConstraint("state IN ('fetch', 'ready', 'retry', 'done', 'parked')", name="inbox_state"),
        CheckConstraint(
            "kind IN ('webhook', 'poll', 'backfill', 'read', 'manual', 'schedule', 'core')", name="inbox_kind"
        ),
        Index(
            "inbox_ready",
            "merchant_id",
            "priority",
            "seq",
            sqlite_where=text("state IN ('ready', 'retry')"),
            postgresql_where=text("state IN ('ready', 'retry')"),
        ),
        Index(
            "inbox_open_key",
            "merchant_id",
            "ordering_key",
            "seq",
            sqlite_where=text("state IN ('fetch', 'ready', 'retry')"),
            postgresql_where=text("state IN ('fetch', 'ready', 'retry')"),
        ),
        Index(
            "inbox_fetch",
            "merchant_id",
            "priority",
            "seq",
            sqlite_where=text("state = 'fetch'"),
            postgresql_where=text("state = 'fetch'"),
        ),
        Index(
            "inbox_parked_key",
            "merchant_id",
            "ordering_key",
            "seq",
            sqlite_where=text("state = 'parked'"),
            postgresql_where=text("state = 'parked'"),
        ),
        Index(
            "inbox_parked",
            "merchant_id",
            "seq",
            sqlite_where=text("state = 'parked'"),
            postgresql_where=text("state = 'parked'"),
        ),
        Index(
            "inbox_replay",
            "replay_id",
            "state",
            sqlite_where=text("replay_id IS NOT NULL"),
            postgresql_where=text("replay_id IS NOT NULL"),
        ),
        Index("inbox_record", "merchant_id", "connection_id", "record", "record_id"),
        {"sqlite_autoincrement": True},
    )
    seq: int = Field(sa_column=Column(BIGINT, Identity(always=True), primary_key=True))
    merchant_id: int = bigint()
    connection_id: int | None = bigint(nullable=True)
    kind: str
    topic: str
    #: record kind (`shopify.order`), name of the manual trigger, or of the flow that answers later
    record: str
    record_id: str
    ordering_key: str
    lane: int
    #: 0 webhooks and commands, 1 polls and reads, 2 backfill, 3 what is replayed in bulk
    priority: int = 0
    stamp: str | None = None
    body: bytes | None = blob()
    content_type: str | None = None
    #: what remote reads answered, kept so that retry and replay are deterministic
    reads: bytes | None = blob()
    #: what its flows asked for (`fetches.py`)
    fetched: bytes | None = blob()
    data_key_id: int | None = bigint(nullable=True)
    state: str = "ready"
    #: claims not reported back; set when claimed, cleared when the batch commits or fails in order
    claims: int = 0
    attempts: int = 0
    next_attempt_at: int = bigint(default=0)
    received_at: int = bigint()
    finished_at: int | None = bigint(nullable=True)
    outcome: str | None = Field(default=None, sa_column=Column(Text))
    #: of what it is parked for (`error_class.py`)
    error_class: str | None = None
    #: the event that this one came from (a read-back, a replay)
    parent_seq: int | None = bigint(nullable=True)
    #: JSON: version hashes by flow, for an event that is worked again as it was before; null: as flows are now
    versions: str | None = Field(default=None, sa_column=Column(Text))
    #: the bulk replay that made it ready last
    replay_id: int | None = bigint(nullable=True)


class EventEdit(SQLModel, table=True):
    """A body of an event that a person replaced, kept with who did it and why. The event holds the one that counts; number 1
    is the body as it came in."""

    __tablename__ = "event_edit"
    __table_args__ = (PrimaryKeyConstraint("event_seq", "number"),)
    merchant_id: int = bigint()
    event_seq: int = bigint()
    number: int
    #: what was replaced
    body: bytes | None = blob()
    edited_by: str
    why: str | None = Field(default=None, sa_column=Column(Text))
    edited_at: int = bigint()


class Replay(SQLModel, table=True):
    """A bulk replay: which parked things are worked again, and how far it has come. It is worked in pages, each in one
    transaction with its place, so that nothing is worked twice by it wherever it is stopped.

    states: `running`; `paused` by a person; `done`."""

    __tablename__ = "replay"
    __table_args__ = (
        CheckConstraint("state IN ('running', 'paused', 'done')", name="replay_state"),
        CheckConstraint("phase IN ('events', 'questions')", name="replay_phase"),
        Index(
            "replay_running",
            "merchant_id",
            "id",
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    state: str = "running"
    #: JSON: `error_class`, `connection_id`, `flow`, `since`, `until`, `state`
    criteria: str = Field(sa_column=Column(Text, nullable=False))
    same_version: bool = False
    #: at most so many; null: all
    most: int | None = bigint(nullable=True)
    #: events first, then the questions of runs and of refused deliveries
    phase: str = "events"
    #: the last event, then the last question, that it has come to
    cursor: int = bigint(default=0)
    #: events that came in later are none of its own
    last_seq: int = bigint()
    #: how many there were when it began
    total: int = bigint()
    taken: int = bigint(default=0)
    #: those that cannot be worked again, and why the last of them
    skipped: int = bigint(default=0)
    skipped_reason: str | None = Field(default=None, sa_column=Column(Text))
    created_at: int = bigint()
    created_by: str
    finished_at: int | None = bigint(nullable=True)


class InboxSeen(SQLModel, table=True):
    """Dedup keys, kept for ever: the vendor's delivery id, else a hash of topic, record, stamp and body."""

    __tablename__ = "inbox_seen"
    __table_args__ = (PrimaryKeyConstraint("merchant_id", "connection_id", "key"), {"sqlite_with_rowid": False})
    merchant_id: int = bigint()
    connection_id: int = bigint()
    key: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))


class Lane(SQLModel, table=True):
    """Lease and fence of one lane of a merchant."""

    __tablename__ = "lane"
    __table_args__ = (PrimaryKeyConstraint("merchant_id", "lane"),)
    merchant_id: int = bigint()
    lane: int
    fence: int = bigint(default=0)
    owner: str | None = None
    until: int = bigint(default=0)


class Question(SQLModel, table=True):
    """Something parked for a person: its reason, what was found, the answers that are possible.

    `subject` and `kind` identify an open question: raised again, it stays one.
    """

    __tablename__ = "question"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'answered', 'resolved')", name="question_state"),
        Index(
            "question_open",
            "merchant_id",
            "subject",
            "kind",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
        Index(
            "question_untold",
            "merchant_id",
            "created_at",
            "id",
            sqlite_where=text("state = 'open' AND told_at IS NULL"),
            postgresql_where=text("state = 'open' AND told_at IS NULL"),
        ),
    )
    id: int = id_column()
    merchant_id: int = bigint()
    kind: str
    #: of its kind (`error_class.py`)
    error_class: str = Field(default="other", sa_column=Column(Text, nullable=False, server_default="other"))
    subject: str
    reason: str = Field(sa_column=Column(Text, nullable=False))
    details: str = Field(default="{}", sa_column=Column(Text, nullable=False))
    answers: str = Field(default="[]", sa_column=Column(Text, nullable=False))
    state: str = "open"
    event_seq: int | None = bigint(nullable=True)
    run_id: int | None = bigint(nullable=True)
    delivery_id: int | None = bigint(nullable=True)
    answer: str | None = Field(default=None, sa_column=Column(Text))
    answered_by: str | None = None
    created_at: int = bigint()
    closed_at: int | None = bigint(nullable=True)
    #: an alert told somebody of it
    told_at: int | None = bigint(nullable=True)
