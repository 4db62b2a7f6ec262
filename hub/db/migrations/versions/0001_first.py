"""The first schema: tables, indexes and seals. Written by tools/freeze_schema.py, never by hand."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    connection = op.get_bind()
    for statement in SQLITE if connection.dialect.name == "sqlite" else POSTGRES:
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


SQLITE = [
    """
CREATE TABLE alert (
    merchant_id INTEGER NOT NULL,
    rule VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    told_at INTEGER NOT NULL,
    PRIMARY KEY (merchant_id, rule, subject)
)
""",
    """
CREATE TABLE balance (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    min_balance INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT balance_floor CHECK (min_balance IS NULL OR amount >= min_balance)
)
""",
    """
CREATE TABLE connection (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    connector TEXT NOT NULL,
    mode TEXT NOT NULL,
    go_live_at INTEGER,
    settings TEXT NOT NULL,
    secrets BLOB,
    secrets_key_id INTEGER,
    status TEXT NOT NULL,
    expires_at INTEGER,
    down_since INTEGER,
    down_reason TEXT,
    probe_at INTEGER,
    probes INTEGER DEFAULT '0' NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (merchant_id, name),
    CONSTRAINT connection_mode CHECK (mode IN ('observe', 'paused', 'live')),
    CONSTRAINT connection_status CHECK (status IN ('new', 'connected', 'reconnect_needed'))
)
""",
    """
CREATE TABLE data_key (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    subject TEXT NOT NULL,
    sealed BLOB NOT NULL,
    sealed_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT data_key_purpose CHECK (purpose IN ('vault', 'chain', 'signing', 'personal'))
)
""",
    "CREATE UNIQUE INDEX data_key_current ON data_key (merchant_id, purpose, subject) WHERE retired_at IS NULL",
    """
CREATE TABLE delivery (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    operation VARCHAR NOT NULL,
    "key" VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    ladder VARCHAR NOT NULL,
    is_state BOOLEAN NOT NULL,
    is_ensure BOOLEAN NOT NULL,
    ordering_key VARCHAR NOT NULL,
    body BLOB,
    body_hash BLOB,
    frozen_body BLOB,
    frozen_key VARCHAR,
    data_key_id INTEGER,
    state VARCHAR NOT NULL,
    attempts INTEGER NOT NULL,
    fence INTEGER DEFAULT '0' NOT NULL,
    maybe_sent BOOLEAN NOT NULL,
    first_sent_at INTEGER,
    stale INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    retry_attempts INTEGER,
    retry_within_us INTEGER,
    lease_owner VARCHAR,
    lease_until INTEGER NOT NULL,
    reason TEXT,
    error_class VARCHAR,
    external_id VARCHAR,
    event_seq INTEGER,
    run_id INTEGER,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT delivery_key UNIQUE (merchant_id, connection_id, operation, "key", version),
    CONSTRAINT delivery_state CHECK (state IN ('planned', 'waiting', 'sending', 'retry', 'confirmed', 'rejected', 'uncertain', 'superseded', 'observed'))
)
""",
    "CREATE INDEX delivery_event ON delivery (merchant_id, event_seq)",
    "CREATE INDEX delivery_open ON delivery (connection_id, operation, created_at, id) WHERE state IN ('planned', 'retry', 'sending', 'waiting')",
    "CREATE INDEX delivery_open_key ON delivery (connection_id, ordering_key, created_at, id) WHERE state IN ('planned', 'retry', 'sending', 'waiting')",
    "CREATE INDEX delivery_parked ON delivery (merchant_id, id) WHERE state IN ('rejected', 'uncertain')",
    """
CREATE TABLE delivery_edit (
    merchant_id INTEGER NOT NULL,
    delivery_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    body BLOB,
    edited_by VARCHAR NOT NULL,
    why TEXT,
    edited_at INTEGER NOT NULL,
    PRIMARY KEY (delivery_id, number)
)
""",
    """
CREATE TABLE delivery_reference (
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    delivery_id INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    "key" VARCHAR NOT NULL,
    PRIMARY KEY (delivery_id, kind, "key")
)
""",
    """
CREATE INDEX delivery_reference_key ON delivery_reference (merchant_id, connection_id, kind, "key")
""",
    """
CREATE TABLE effect_head (
    merchant_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (merchant_id)
)
""",
    """
CREATE TABLE effect_log (
    merchant_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    delivery_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    operation VARCHAR NOT NULL,
    "key" VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    external_id VARCHAR,
    body_hash BLOB NOT NULL,
    confirmed_at INTEGER NOT NULL,
    encoding_version INTEGER NOT NULL,
    data_key_id INTEGER NOT NULL,
    prev_hash BLOB NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (merchant_id, seq)
)
""",
    """
CREATE TABLE entry_seal (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    PRIMARY KEY (id)
)
""",
    """
CREATE TABLE event_edit (
    merchant_id INTEGER NOT NULL,
    event_seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    body BLOB,
    edited_by VARCHAR NOT NULL,
    why TEXT,
    edited_at INTEGER NOT NULL,
    PRIMARY KEY (event_seq, number)
)
""",
    """
CREATE TABLE flow_activation (
    merchant_id INTEGER NOT NULL,
    flow VARCHAR NOT NULL,
    version_hash VARCHAR NOT NULL,
    activated_at INTEGER NOT NULL,
    activated_by VARCHAR NOT NULL,
    pinned BOOLEAN NOT NULL,
    before_hash VARCHAR,
    PRIMARY KEY (merchant_id, flow)
)
""",
    """
CREATE TABLE flow_canary (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    flow VARCHAR NOT NULL,
    version_hash VARCHAR NOT NULL,
    share INTEGER NOT NULL,
    rule VARCHAR,
    state VARCHAR NOT NULL,
    recent TEXT NOT NULL,
    runs INTEGER NOT NULL,
    parked INTEGER NOT NULL,
    stable_runs INTEGER NOT NULL,
    stable_parked INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    started_by VARCHAR NOT NULL,
    ended_at INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT flow_canary_state CHECK (state IN ('running', 'withdrawn', 'promoted', 'ended')),
    CONSTRAINT flow_canary_share CHECK (share BETWEEN 1 AND 100)
)
""",
    "CREATE UNIQUE INDEX flow_canary_running ON flow_canary (merchant_id, flow) WHERE state = 'running'",
    """
CREATE TABLE flow_schedule (
    merchant_id INTEGER NOT NULL,
    flow VARCHAR NOT NULL,
    schedule VARCHAR NOT NULL,
    zone VARCHAR NOT NULL,
    next_run_at INTEGER,
    last_run_at INTEGER,
    PRIMARY KEY (merchant_id, flow)
)
""",
    "CREATE INDEX flow_schedule_next ON flow_schedule (next_run_at)",
    """
CREATE TABLE flow_stamp (
    id INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    PRIMARY KEY (id)
)
""",
    """
CREATE TABLE flow_version (
    hash VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    text TEXT NOT NULL,
    language_version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (hash)
)
""",
    """
CREATE TABLE id_counter (
    id INTEGER NOT NULL,
    next INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT id_counter_one CHECK (id = 1)
)
""",
    """
CREATE TABLE inbox (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER,
    kind VARCHAR NOT NULL,
    topic VARCHAR NOT NULL,
    record VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,
    ordering_key VARCHAR NOT NULL,
    lane INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    stamp VARCHAR,
    body BLOB,
    content_type VARCHAR,
    reads BLOB,
    fetched BLOB,
    data_key_id INTEGER,
    state VARCHAR NOT NULL,
    claims INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    finished_at INTEGER,
    outcome TEXT,
    error_class VARCHAR,
    parent_seq INTEGER,
    versions TEXT,
    replay_id INTEGER,
    CONSTRAINT inbox_state CHECK (state IN ('fetch', 'ready', 'retry', 'done', 'parked')),
    CONSTRAINT inbox_kind CHECK (kind IN ('webhook', 'poll', 'backfill', 'read', 'manual', 'schedule', 'core'))
)
""",
    "CREATE INDEX inbox_fetch ON inbox (merchant_id, priority, seq) WHERE state = 'fetch'",
    "CREATE INDEX inbox_open_key ON inbox (merchant_id, ordering_key, seq) WHERE state IN ('fetch', 'ready', 'retry')",
    "CREATE INDEX inbox_parked ON inbox (merchant_id, seq) WHERE state = 'parked'",
    "CREATE INDEX inbox_parked_key ON inbox (merchant_id, ordering_key, seq) WHERE state = 'parked'",
    "CREATE INDEX inbox_ready ON inbox (merchant_id, priority, seq) WHERE state IN ('ready', 'retry')",
    "CREATE INDEX inbox_record ON inbox (merchant_id, connection_id, record, record_id)",
    "CREATE INDEX inbox_replay ON inbox (replay_id, state) WHERE replay_id IS NOT NULL",
    """
CREATE TABLE inbox_seen (
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    "key" BLOB NOT NULL,
    PRIMARY KEY (merchant_id, connection_id, "key")
)
 WITHOUT ROWID
""",
    """
CREATE TABLE item (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    sku VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    unit VARCHAR NOT NULL,
    tracked BOOLEAN NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT item_sku UNIQUE (merchant_id, sku)
)
""",
    """
CREATE TABLE lane (
    merchant_id INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    owner VARCHAR,
    until INTEGER NOT NULL,
    PRIMARY KEY (merchant_id, lane)
)
""",
    """
CREATE TABLE location (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    code VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT location_code UNIQUE (merchant_id, code),
    CONSTRAINT location_kind CHECK (kind IN ('supplier', 'warehouse', 'customer', 'loss', 'opening', 'quarantine', 'transit'))
)
""",
    """
CREATE TABLE merchant (
    id INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    zone VARCHAR NOT NULL,
    currency VARCHAR NOT NULL,
    lanes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT merchant_currency CHECK (length(currency) = 3),
    CONSTRAINT merchant_lanes CHECK (lanes > 0)
)
""",
    """
CREATE TABLE oauth_state (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    jti TEXT NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (merchant_id, jti)
)
""",
    """
CREATE TABLE party (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    "key" VARCHAR NOT NULL,
    anonymous BOOLEAN DEFAULT 0 NOT NULL,
    content BLOB,
    data_key_id INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT party_key UNIQUE (merchant_id, connection_id, "key")
)
""",
    """
CREATE TABLE question (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    error_class TEXT DEFAULT 'other' NOT NULL,
    subject VARCHAR NOT NULL,
    reason TEXT NOT NULL,
    details TEXT NOT NULL,
    answers TEXT NOT NULL,
    state VARCHAR NOT NULL,
    event_seq INTEGER,
    run_id INTEGER,
    delivery_id INTEGER,
    answer TEXT,
    answered_by VARCHAR,
    created_at INTEGER NOT NULL,
    closed_at INTEGER,
    told_at INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT question_state CHECK (state IN ('open', 'answered', 'resolved'))
)
""",
    "CREATE UNIQUE INDEX question_open ON question (merchant_id, subject, kind) WHERE state = 'open'",
    "CREATE INDEX question_untold ON question (merchant_id, created_at, id) WHERE state = 'open' AND told_at IS NULL",
    """
CREATE TABLE replay (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    state VARCHAR NOT NULL,
    criteria TEXT NOT NULL,
    same_version BOOLEAN NOT NULL,
    most INTEGER,
    phase VARCHAR NOT NULL,
    cursor INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    total INTEGER NOT NULL,
    taken INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    skipped_reason TEXT,
    created_at INTEGER NOT NULL,
    created_by VARCHAR NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT replay_state CHECK (state IN ('running', 'paused', 'done')),
    CONSTRAINT replay_phase CHECK (phase IN ('events', 'questions'))
)
""",
    "CREATE INDEX replay_running ON replay (merchant_id, id) WHERE state = 'running'",
    """
CREATE TABLE restored (
    connection_id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    mode VARCHAR NOT NULL,
    backed_up_at INTEGER NOT NULL,
    restored_at INTEGER NOT NULL,
    first_id INTEGER NOT NULL,
    released_at INTEGER,
    last_seq INTEGER,
    PRIMARY KEY (connection_id),
    CONSTRAINT restored_mode CHECK (mode IN ('observe', 'paused', 'live'))
)
""",
    """
CREATE TABLE root_key (
    id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER,
    dropped_at INTEGER,
    PRIMARY KEY (id)
)
""",
    """
CREATE TABLE run (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    event_seq INTEGER NOT NULL,
    flow VARCHAR NOT NULL,
    version_hash VARCHAR NOT NULL,
    "trigger" VARCHAR,
    subject VARCHAR,
    state VARCHAR NOT NULL,
    reason TEXT,
    error_class VARCHAR,
    changed TEXT NOT NULL,
    scope BLOB,
    started_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT run_state CHECK (state IN ('done', 'stopped', 'parked'))
)
""",
    "CREATE INDEX run_event ON run (merchant_id, event_seq)",
    "CREATE INDEX run_parked ON run (merchant_id, subject, flow) WHERE state = 'parked'",
    """
CREATE TABLE series (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    code VARCHAR NOT NULL,
    prefix VARCHAR NOT NULL,
    next_number INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT series_code UNIQUE (merchant_id, code),
    CONSTRAINT series_next CHECK (next_number >= 1)
)
""",
    """
CREATE TABLE setting (
    "key" VARCHAR NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY ("key")
)
""",
    """
CREATE TABLE turn (
    merchant_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    next_at INTEGER NOT NULL,
    owner VARCHAR,
    until INTEGER NOT NULL,
    PRIMARY KEY (merchant_id, name)
)
""",
    """
CREATE TABLE binding (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    external_id TEXT NOT NULL,
    our_kind TEXT,
    our_id TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (merchant_id, connection_id, kind, external_id),
    UNIQUE (merchant_id, connection_id, kind, our_id),
    FOREIGN KEY(connection_id) REFERENCES connection (id)
)
""",
    """
CREATE TABLE book (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    currency VARCHAR NOT NULL,
    zone VARCHAR NOT NULL,
    chart VARCHAR NOT NULL,
    next_seq INTEGER NOT NULL,
    head_hash BLOB NOT NULL,
    data_key_id INTEGER NOT NULL,
    closed_through DATE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT book_merchant UNIQUE (merchant_id),
    CONSTRAINT book_currency CHECK (length(currency) = 3),
    FOREIGN KEY(merchant_id) REFERENCES merchant (id)
)
""",
    """
CREATE TABLE channel_level (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    item_id INTEGER NOT NULL,
    expected INTEGER,
    acknowledged INTEGER,
    adopted_at INTEGER,
    item_ref VARCHAR,
    location_ref VARCHAR,
    PRIMARY KEY (id),
    CONSTRAINT channel_level_item UNIQUE (merchant_id, item_id, connection_id),
    FOREIGN KEY(item_id) REFERENCES item (id)
)
""",
    "CREATE INDEX channel_level_ref ON channel_level (merchant_id, item_ref)",
    """
CREATE TABLE item_alias (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    "key" VARCHAR NOT NULL,
    item_id INTEGER,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT item_alias_key UNIQUE (merchant_id, connection_id, "key"),
    FOREIGN KEY(item_id) REFERENCES item (id)
)
""",
    """
CREATE TABLE poll_cursor (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    record TEXT NOT NULL,
    cursor TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (merchant_id, connection_id, record),
    FOREIGN KEY(connection_id) REFERENCES connection (id)
)
""",
    """
CREATE TABLE reservation (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    item_id INTEGER NOT NULL,
    location_id INTEGER NOT NULL,
    order_id INTEGER NOT NULL,
    order_line_id INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    shipped INTEGER NOT NULL,
    state VARCHAR NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    expires_at INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT reservation_state CHECK (state IN ('waiting', 'held', 'posted', 'voided')),
    CONSTRAINT reservation_quantity CHECK (quantity > 0),
    CONSTRAINT reservation_shipped CHECK (shipped >= 0 AND shipped <= quantity),
    CONSTRAINT reservation_ended CHECK ((ended_at IS NULL) = (state IN ('waiting', 'held'))),
    CONSTRAINT reservation_posted CHECK (state <> 'posted' OR shipped = quantity),
    CONSTRAINT reservation_waits_whole CHECK (state <> 'waiting' OR shipped = 0),
    FOREIGN KEY(item_id) REFERENCES item (id),
    FOREIGN KEY(location_id) REFERENCES location (id)
)
""",
    "CREATE INDEX reservation_order ON reservation (merchant_id, order_id)",
    "CREATE INDEX reservation_waiting ON reservation (merchant_id, item_id, location_id, created_at) WHERE state = 'waiting'",
    """
CREATE TABLE role_binding (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    role TEXT NOT NULL,
    connection_id INTEGER NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (merchant_id, role, connection_id),
    FOREIGN KEY(connection_id) REFERENCES connection (id)
)
""",
    """
CREATE TABLE sales_order (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    external_id VARCHAR NOT NULL,
    ref VARCHAR NOT NULL,
    party_id INTEGER,
    name VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    placed_at INTEGER NOT NULL,
    currency VARCHAR NOT NULL,
    prices_include_tax BOOLEAN DEFAULT 0 NOT NULL,
    tax_exempt BOOLEAN DEFAULT 0 NOT NULL,
    financial_status VARCHAR NOT NULL,
    cancelled_at INTEGER,
    cancel_reason VARCHAR,
    total INTEGER NOT NULL,
    total_tax INTEGER NOT NULL,
    current_total INTEGER NOT NULL,
    outstanding INTEGER NOT NULL,
    rounding INTEGER NOT NULL,
    presentment_total INTEGER,
    presentment_currency VARCHAR,
    contact BLOB,
    data_key_id INTEGER,
    header_as_of INTEGER NOT NULL,
    header_hash VARCHAR NOT NULL,
    lines_as_of INTEGER,
    lines_hash VARCHAR,
    payments_as_of INTEGER,
    payments_hash VARCHAR,
    refunds_as_of INTEGER,
    refunds_hash VARCHAR,
    fulfilments_as_of INTEGER,
    fulfilments_hash VARCHAR,
    receivable VARCHAR NOT NULL,
    rounding_booked INTEGER NOT NULL,
    invoiced BOOLEAN DEFAULT 0 NOT NULL,
    released_at INTEGER,
    withdrawn_at INTEGER,
    questions TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT sales_order_external UNIQUE (merchant_id, connection_id, external_id),
    CONSTRAINT sales_order_ref UNIQUE (merchant_id, ref),
    CONSTRAINT sales_order_state CHECK (state IN ('open', 'closed', 'cancelled', 'before_go_live')),
    FOREIGN KEY(party_id) REFERENCES party (id)
)
""",
    "CREATE INDEX sales_order_placed ON sales_order (merchant_id, placed_at)",
    """
CREATE TABLE stock_level (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    item_id INTEGER NOT NULL,
    location_id INTEGER NOT NULL,
    guarded BOOLEAN NOT NULL,
    on_hand INTEGER NOT NULL,
    held INTEGER NOT NULL,
    waiting INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT stock_level_place UNIQUE (merchant_id, item_id, location_id),
    CONSTRAINT stock_level_on_hand CHECK (NOT guarded OR on_hand >= 0),
    CONSTRAINT stock_level_held CHECK (held >= 0),
    CONSTRAINT stock_level_held_is_there CHECK (NOT guarded OR held <= on_hand),
    CONSTRAINT stock_level_waiting CHECK (waiting >= 0),
    FOREIGN KEY(item_id) REFERENCES item (id),
    FOREIGN KEY(location_id) REFERENCES location (id)
)
""",
    """
CREATE TABLE token_lease (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    fence INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    parent INTEGER,
    closed_until INTEGER NOT NULL,
    due_at INTEGER,
    unanswered INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    reason TEXT,
    owner TEXT,
    renewed_at INTEGER,
    PRIMARY KEY (id),
    UNIQUE (merchant_id, connection_id),
    CONSTRAINT token_lease_state CHECK (state IN ('idle', 'asking', 'waiting', 'refused')),
    FOREIGN KEY(connection_id) REFERENCES connection (id)
)
""",
    "CREATE INDEX token_lease_due ON token_lease (due_at) WHERE due_at IS NOT NULL",
    """
CREATE TABLE account (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    book_id INTEGER NOT NULL,
    code VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    currency VARCHAR NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT account_code UNIQUE (merchant_id, book_id, code, currency),
    CONSTRAINT account_currency UNIQUE (id, currency),
    CONSTRAINT account_currency_code CHECK (length(currency) = 3),
    FOREIGN KEY(book_id) REFERENCES book (id)
)
""",
    """
CREATE TABLE entry (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    book_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    ref VARCHAR NOT NULL,
    payload_hash BLOB NOT NULL,
    journal VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    label TEXT NOT NULL,
    document_ref VARCHAR,
    party_id INTEGER,
    effective_date DATE NOT NULL,
    origin_date DATE,
    recorded_at INTEGER NOT NULL,
    reverses_id INTEGER,
    corrects_id INTEGER,
    encoding_version INTEGER NOT NULL,
    data_key_id INTEGER NOT NULL,
    prev_hash BLOB NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT entry_ref UNIQUE (merchant_id, ref),
    CONSTRAINT entry_seq UNIQUE (merchant_id, book_id, seq),
    CONSTRAINT entry_reversed_once UNIQUE (merchant_id, reverses_id),
    CONSTRAINT entry_sealed FOREIGN KEY(id) REFERENCES entry_seal (id) DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY(book_id) REFERENCES book (id),
    FOREIGN KEY(reverses_id) REFERENCES entry (id),
    FOREIGN KEY(corrects_id) REFERENCES entry (id)
)
""",
    "CREATE INDEX entry_document ON entry (merchant_id, document_ref)",
    "CREATE INDEX entry_effective ON entry (merchant_id, effective_date)",
    """
CREATE TABLE fulfilment (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    order_id INTEGER NOT NULL,
    external_id VARCHAR NOT NULL,
    origin VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    carrier VARCHAR,
    service VARCHAR,
    tracking_number VARCHAR,
    tracking_url VARCHAR,
    shipped_at INTEGER,
    lines TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT fulfilment_external UNIQUE (merchant_id, connection_id, external_id),
    CONSTRAINT fulfilment_origin CHECK (origin IN ('shop', 'warehouse')),
    FOREIGN KEY(order_id) REFERENCES sales_order (id)
)
""",
    "CREATE INDEX fulfilment_order ON fulfilment (merchant_id, order_id)",
    """
CREATE TABLE move (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    item_id INTEGER NOT NULL,
    lot VARCHAR,
    quantity INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    destination_id INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    ref VARCHAR NOT NULL,
    reservation_id INTEGER,
    effective_date DATE NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT move_ref UNIQUE (merchant_id, ref),
    CONSTRAINT move_quantity CHECK (quantity > 0),
    CONSTRAINT move_places CHECK (source_id <> destination_id),
    FOREIGN KEY(item_id) REFERENCES item (id),
    FOREIGN KEY(source_id) REFERENCES location (id),
    FOREIGN KEY(destination_id) REFERENCES location (id),
    FOREIGN KEY(reservation_id) REFERENCES reservation (id)
)
""",
    "CREATE INDEX move_item ON move (merchant_id, item_id, effective_date)",
    """
CREATE TABLE order_line (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    order_id INTEGER NOT NULL,
    external_id VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    sku VARCHAR,
    variant_id VARCHAR,
    item_id INTEGER,
    title TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    current_quantity INTEGER NOT NULL,
    unit_price INTEGER NOT NULL,
    gross INTEGER NOT NULL,
    discounts TEXT NOT NULL,
    taxes TEXT NOT NULL,
    requires_shipping BOOLEAN DEFAULT 0 NOT NULL,
    present BOOLEAN DEFAULT 1 NOT NULL,
    shipped INTEGER NOT NULL,
    returned INTEGER NOT NULL,
    released INTEGER NOT NULL,
    channel_taken INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT order_line_external UNIQUE (merchant_id, order_id, external_id),
    CONSTRAINT order_line_goods CHECK (shipped >= 0 AND returned >= 0 AND returned <= shipped),
    FOREIGN KEY(order_id) REFERENCES sales_order (id),
    FOREIGN KEY(item_id) REFERENCES item (id)
)
""",
    """
CREATE TABLE payment (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    order_id INTEGER NOT NULL,
    external_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    gateway VARCHAR NOT NULL,
    amount INTEGER NOT NULL,
    currency VARCHAR NOT NULL,
    fee INTEGER,
    paid_at INTEGER NOT NULL,
    effective_date DATE NOT NULL,
    entry_id INTEGER,
    announced BOOLEAN DEFAULT 0 NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT payment_external UNIQUE (merchant_id, connection_id, external_id),
    CONSTRAINT payment_kind CHECK (kind IN ('payment', 'refund')),
    CONSTRAINT payment_amount CHECK (amount >= 0),
    FOREIGN KEY(order_id) REFERENCES sales_order (id)
)
""",
    "CREATE INDEX payment_order ON payment (merchant_id, order_id)",
    """
CREATE TABLE refund (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    order_id INTEGER NOT NULL,
    external_id VARCHAR NOT NULL,
    refunded_at INTEGER NOT NULL,
    total INTEGER NOT NULL,
    note TEXT,
    content TEXT NOT NULL,
    credited BOOLEAN DEFAULT 0 NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT refund_external UNIQUE (merchant_id, connection_id, external_id),
    FOREIGN KEY(order_id) REFERENCES sales_order (id)
)
""",
    "CREATE INDEX refund_order ON refund (merchant_id, order_id)",
    """
CREATE TABLE document (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    order_id INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    ordinal INTEGER NOT NULL,
    number VARCHAR NOT NULL,
    reason VARCHAR,
    refund_id INTEGER,
    corrects_id INTEGER,
    party_id INTEGER,
    currency VARCHAR NOT NULL,
    issued_at INTEGER NOT NULL,
    effective_date DATE NOT NULL,
    total_net INTEGER NOT NULL,
    total_tax INTEGER NOT NULL,
    total INTEGER NOT NULL,
    entry_id INTEGER,
    content BLOB,
    content_hash BLOB NOT NULL,
    data_key_id INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT document_ordinal UNIQUE (merchant_id, order_id, kind, ordinal),
    CONSTRAINT document_number UNIQUE (merchant_id, number),
    CONSTRAINT document_refund UNIQUE (merchant_id, refund_id),
    CONSTRAINT document_kind CHECK (kind IN ('invoice', 'credit_note')),
    CONSTRAINT document_total CHECK (total = total_net + total_tax),
    FOREIGN KEY(order_id) REFERENCES sales_order (id),
    FOREIGN KEY(refund_id) REFERENCES refund (id),
    FOREIGN KEY(corrects_id) REFERENCES document (id),
    FOREIGN KEY(party_id) REFERENCES party (id)
)
""",
    "CREATE INDEX document_issued ON document (merchant_id, issued_at)",
    """
CREATE TABLE posting (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    entry_id INTEGER NOT NULL,
    line INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    currency VARCHAR NOT NULL,
    amount INTEGER NOT NULL,
    party_id INTEGER,
    vat_code VARCHAR,
    PRIMARY KEY (id),
    CONSTRAINT posting_line UNIQUE (merchant_id, entry_id, line),
    CONSTRAINT posting_amount CHECK (amount <> 0),
    CONSTRAINT posting_account FOREIGN KEY(account_id, currency) REFERENCES account (id, currency),
    FOREIGN KEY(entry_id) REFERENCES entry (id)
)
""",
    "CREATE INDEX posting_of_account ON posting (merchant_id, account_id)",
    """
CREATE TABLE document_line (
    id INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    document_id INTEGER NOT NULL,
    order_id INTEGER NOT NULL,
    line INTEGER NOT NULL,
    source VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    sku VARCHAR,
    item_id INTEGER,
    title TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    net INTEGER NOT NULL,
    tax INTEGER NOT NULL,
    rate VARCHAR,
    vat_code VARCHAR,
    account VARCHAR,
    tax_account VARCHAR,
    PRIMARY KEY (id),
    CONSTRAINT document_line_place UNIQUE (merchant_id, document_id, line),
    FOREIGN KEY(document_id) REFERENCES document (id),
    FOREIGN KEY(order_id) REFERENCES sales_order (id)
)
""",
    "CREATE INDEX document_line_order ON document_line (merchant_id, order_id)",
    "CREATE TRIGGER data_key_deleted BEFORE DELETE ON data_key WHEN OLD.purpose IN ('chain', 'signing') BEGIN SELECT RAISE(ABORT, 'data_key: a key of a chain is retired, never deleted or replaced'); END",
    "CREATE TRIGGER data_key_fixed BEFORE UPDATE ON data_key WHEN OLD.purpose IN ('chain', 'signing') AND (NEW.id IS NOT OLD.id OR NEW.merchant_id IS NOT OLD.merchant_id OR NEW.purpose IS NOT OLD.purpose) BEGIN SELECT RAISE(ABORT, 'data_key: a key of a chain is retired, never deleted or replaced'); END",
    "CREATE TRIGGER data_key_replaced BEFORE INSERT ON data_key WHEN EXISTS (SELECT 1 FROM data_key WHERE id = NEW.id AND purpose IN ('chain', 'signing')) BEGIN SELECT RAISE(ABORT, 'data_key: a key of a chain is retired, never deleted or replaced'); END",
    "CREATE TRIGGER entry_updated BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entry is append-only: UPDATE is refused'); END",
    "CREATE TRIGGER entry_deleted BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'entry is append-only: DELETE is refused'); END",
    "CREATE TRIGGER posting_updated BEFORE UPDATE ON posting BEGIN SELECT RAISE(ABORT, 'posting is append-only: UPDATE is refused'); END",
    "CREATE TRIGGER posting_deleted BEFORE DELETE ON posting BEGIN SELECT RAISE(ABORT, 'posting is append-only: DELETE is refused'); END",
    "CREATE TRIGGER entry_seal_updated BEFORE UPDATE ON entry_seal BEGIN SELECT RAISE(ABORT, 'entry_seal is append-only: UPDATE is refused'); END",
    "CREATE TRIGGER entry_seal_deleted BEFORE DELETE ON entry_seal BEGIN SELECT RAISE(ABORT, 'entry_seal is append-only: DELETE is refused'); END",
    "CREATE TRIGGER account_fixed BEFORE UPDATE ON account WHEN NEW.id IS NOT OLD.id OR NEW.merchant_id IS NOT OLD.merchant_id OR NEW.book_id IS NOT OLD.book_id OR NEW.code IS NOT OLD.code OR NEW.currency IS NOT OLD.currency BEGIN SELECT RAISE(ABORT, 'account: id, merchant_id, book_id, code, currency never change'); END",
    "CREATE TRIGGER account_deleted BEFORE DELETE ON account BEGIN SELECT RAISE(ABORT, 'account: DELETE is refused'); END",
    """
CREATE TRIGGER entry_added BEFORE INSERT ON entry
WHEN EXISTS (SELECT 1 FROM entry WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM entry WHERE merchant_id = NEW.merchant_id AND ref = NEW.ref)
  OR EXISTS (
    SELECT 1 FROM entry WHERE merchant_id = NEW.merchant_id AND book_id = NEW.book_id AND seq = NEW.seq
  )
  OR (NEW.reverses_id IS NOT NULL AND EXISTS (
    SELECT 1 FROM entry WHERE merchant_id = NEW.merchant_id AND reverses_id = NEW.reverses_id
  ))
BEGIN SELECT RAISE(ABORT, 'entry is append-only: this id, ref, number or reversal is there'); END
""",
    """
CREATE TRIGGER posting_added BEFORE INSERT ON posting
BEGIN
  SELECT CASE
    WHEN typeof(NEW.amount) <> 'integer' THEN RAISE(ABORT, 'posting: the amount is no integer')
    WHEN EXISTS (SELECT 1 FROM entry_seal WHERE id = NEW.entry_id)
      THEN RAISE(ABORT, 'posting: the entry is sealed')
    WHEN EXISTS (SELECT 1 FROM posting WHERE id = NEW.id)
      THEN RAISE(ABORT, 'posting is append-only: this id is there')
    WHEN (SELECT merchant_id FROM entry WHERE id = NEW.entry_id) IS NOT NEW.merchant_id
      THEN RAISE(ABORT, 'posting: the entry is not there or is another merchant''s')
  END;
END
""",
    """
CREATE TRIGGER entry_seal_added BEFORE INSERT ON entry_seal
BEGIN
  SELECT CASE
    WHEN EXISTS (SELECT 1 FROM entry_seal WHERE id = NEW.id)
      THEN RAISE(ABORT, 'entry_seal is append-only: this id is there')
    WHEN NOT EXISTS (
      SELECT 1 FROM entry JOIN book ON book.id = entry.book_id
      WHERE entry.id = NEW.id AND entry.merchant_id = NEW.merchant_id AND book.merchant_id = NEW.merchant_id
    ) THEN RAISE(ABORT, 'entry_seal: the entry is not there or is another merchant''s')
    WHEN (SELECT count(*) FROM posting WHERE merchant_id = NEW.merchant_id AND entry_id = NEW.id) < 2
      THEN RAISE(ABORT, 'entry_seal: an entry has at least two postings')
    WHEN EXISTS (
      SELECT 1 FROM posting WHERE merchant_id = NEW.merchant_id AND entry_id = NEW.id
      GROUP BY currency HAVING sum(amount) <> 0
    ) THEN RAISE(ABORT, 'entry_seal: the postings do not add up to zero')
    WHEN EXISTS (
      SELECT 1 FROM posting JOIN account ON account.id = posting.account_id
      WHERE posting.merchant_id = NEW.merchant_id AND posting.entry_id = NEW.id
        AND account.book_id <> (SELECT book_id FROM entry WHERE id = NEW.id)
    ) THEN RAISE(ABORT, 'entry_seal: an account is of another book')
  END;
END
""",
    """
CREATE TRIGGER account_added BEFORE INSERT ON account
WHEN EXISTS (SELECT 1 FROM account WHERE id = NEW.id)
  OR EXISTS (
    SELECT 1 FROM account WHERE merchant_id = NEW.merchant_id AND book_id = NEW.book_id AND code = NEW.code
      AND currency = NEW.currency
  )
BEGIN SELECT RAISE(ABORT, 'account: this id or code is there'); END
""",
    """
CREATE TRIGGER series_updated BEFORE UPDATE ON series
WHEN NEW.next_number < OLD.next_number OR NEW.code <> OLD.code OR NEW.prefix <> OLD.prefix
  OR NEW.merchant_id <> OLD.merchant_id
BEGIN SELECT RAISE(ABORT, 'series: a number is never taken back'); END
""",
    "CREATE TRIGGER series_deleted BEFORE DELETE ON series BEGIN SELECT RAISE(ABORT, 'series: it stays'); END",
    "CREATE TRIGGER document_fixed BEFORE UPDATE ON document WHEN NEW.id IS NOT OLD.id OR NEW.merchant_id IS NOT OLD.merchant_id OR NEW.order_id IS NOT OLD.order_id OR NEW.kind IS NOT OLD.kind OR NEW.ordinal IS NOT OLD.ordinal OR NEW.number IS NOT OLD.number OR NEW.reason IS NOT OLD.reason OR NEW.refund_id IS NOT OLD.refund_id OR NEW.corrects_id IS NOT OLD.corrects_id OR NEW.party_id IS NOT OLD.party_id OR NEW.currency IS NOT OLD.currency OR NEW.issued_at IS NOT OLD.issued_at OR NEW.effective_date IS NOT OLD.effective_date OR NEW.total_net IS NOT OLD.total_net OR NEW.total_tax IS NOT OLD.total_tax OR NEW.total IS NOT OLD.total OR NEW.entry_id IS NOT OLD.entry_id OR NEW.content_hash IS NOT OLD.content_hash BEGIN SELECT RAISE(ABORT, 'document: id, merchant_id, order_id, kind, ordinal, number, reason, refund_id, corrects_id, party_id, currency, issued_at, effective_date, total_net, total_tax, total, entry_id, content_hash never change'); END",
    "CREATE TRIGGER document_deleted BEFORE DELETE ON document BEGIN SELECT RAISE(ABORT, 'document: DELETE is refused'); END",
    "CREATE TRIGGER document_line_updated BEFORE UPDATE ON document_line BEGIN SELECT RAISE(ABORT, 'document_line is append-only: UPDATE is refused'); END",
    "CREATE TRIGGER document_line_deleted BEFORE DELETE ON document_line BEGIN SELECT RAISE(ABORT, 'document_line is append-only: DELETE is refused'); END",
    """
CREATE TRIGGER document_added BEFORE INSERT ON document
WHEN EXISTS (SELECT 1 FROM document WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM document WHERE merchant_id = NEW.merchant_id AND number = NEW.number)
  OR EXISTS (SELECT 1 FROM document WHERE merchant_id = NEW.merchant_id AND order_id = NEW.order_id
             AND kind = NEW.kind AND ordinal = NEW.ordinal)
  OR EXISTS (SELECT 1 FROM document WHERE merchant_id = NEW.merchant_id AND refund_id = NEW.refund_id)
BEGIN SELECT RAISE(ABORT, 'document: this id, number, place or refund is there'); END
""",
    """
CREATE TRIGGER document_line_added BEFORE INSERT ON document_line
WHEN EXISTS (SELECT 1 FROM document_line WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM document_line WHERE merchant_id = NEW.merchant_id AND document_id = NEW.document_id
             AND line = NEW.line)
BEGIN SELECT RAISE(ABORT, 'document_line is append-only: this id or place is there'); END
""",
    "CREATE TRIGGER move_updated BEFORE UPDATE ON move BEGIN SELECT RAISE(ABORT, 'move is append-only: UPDATE is refused'); END",
    "CREATE TRIGGER move_deleted BEFORE DELETE ON move BEGIN SELECT RAISE(ABORT, 'move is append-only: DELETE is refused'); END",
    "CREATE TRIGGER reservation_fixed BEFORE UPDATE ON reservation WHEN NEW.id IS NOT OLD.id OR NEW.merchant_id IS NOT OLD.merchant_id OR NEW.item_id IS NOT OLD.item_id OR NEW.location_id IS NOT OLD.location_id OR NEW.order_id IS NOT OLD.order_id OR NEW.order_line_id IS NOT OLD.order_line_id OR NEW.quantity IS NOT OLD.quantity OR NEW.created_at IS NOT OLD.created_at BEGIN SELECT RAISE(ABORT, 'reservation: id, merchant_id, item_id, location_id, order_id, order_line_id, quantity, created_at never change'); END",
    "CREATE TRIGGER reservation_deleted BEFORE DELETE ON reservation BEGIN SELECT RAISE(ABORT, 'reservation: DELETE is refused'); END",
    """
CREATE TRIGGER move_added BEFORE INSERT ON move
WHEN EXISTS (SELECT 1 FROM move WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM move WHERE merchant_id = NEW.merchant_id AND ref = NEW.ref)
  OR typeof(NEW.quantity) <> 'integer'
BEGIN SELECT RAISE(ABORT, 'move is append-only: this id or ref is there, or the quantity is no integer'); END
""",
    """
CREATE TRIGGER reservation_added BEFORE INSERT ON reservation
WHEN EXISTS (SELECT 1 FROM reservation WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'reservation: this id is there'); END
""",
    """
CREATE TRIGGER reservation_step BEFORE UPDATE ON reservation
WHEN OLD.state IN ('posted', 'voided') OR NEW.shipped < OLD.shipped OR (NEW.state = 'waiting' AND OLD.state <> 'waiting')
BEGIN SELECT RAISE(ABORT, 'reservation: it ends once, and shipped units stay shipped'); END
""",
    "CREATE TRIGGER effect_log_no_update BEFORE UPDATE ON effect_log BEGIN SELECT RAISE(ABORT, 'effect_log is append-only'); END",
    "CREATE TRIGGER effect_log_no_delete BEFORE DELETE ON effect_log BEGIN SELECT RAISE(ABORT, 'effect_log is append-only'); END",
    "CREATE TRIGGER effect_log_no_replace BEFORE INSERT ON effect_log WHEN EXISTS (SELECT 1 FROM effect_log WHERE merchant_id = NEW.merchant_id AND seq = NEW.seq) BEGIN SELECT RAISE(ABORT, 'effect_log is append-only'); END",
    "CREATE TRIGGER effect_head_no_delete BEFORE DELETE ON effect_head BEGIN SELECT RAISE(ABORT, 'effect_head only moves on'); END",
    "CREATE TRIGGER effect_head_forward BEFORE UPDATE ON effect_head WHEN NEW.seq <= OLD.seq OR NEW.merchant_id IS NOT OLD.merchant_id BEGIN SELECT RAISE(ABORT, 'effect_head only moves on'); END",
    "CREATE TRIGGER effect_head_no_replace BEFORE INSERT ON effect_head WHEN EXISTS (SELECT 1 FROM effect_head WHERE merchant_id = NEW.merchant_id) BEGIN SELECT RAISE(ABORT, 'effect_head only moves on'); END",
    "INSERT INTO id_counter (id, next) VALUES (1, 1000)",
]

POSTGRES = [
    """
CREATE TABLE alert (
    merchant_id BIGINT NOT NULL,
    rule VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    told_at BIGINT NOT NULL,
    PRIMARY KEY (merchant_id, rule, subject)
)
""",
    """
CREATE TABLE balance (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    min_balance BIGINT,
    PRIMARY KEY (id),
    CONSTRAINT balance_floor CHECK (min_balance IS NULL OR amount >= min_balance)
)
""",
    """
CREATE TABLE connection (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    connector TEXT NOT NULL,
    mode TEXT NOT NULL,
    go_live_at BIGINT,
    settings TEXT NOT NULL,
    secrets BYTEA,
    secrets_key_id BIGINT,
    status TEXT NOT NULL,
    expires_at BIGINT,
    down_since BIGINT,
    down_reason TEXT,
    probe_at BIGINT,
    probes INTEGER DEFAULT '0' NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (merchant_id, name),
    CONSTRAINT connection_mode CHECK (mode IN ('observe', 'paused', 'live')),
    CONSTRAINT connection_status CHECK (status IN ('new', 'connected', 'reconnect_needed'))
)
""",
    """
CREATE TABLE data_key (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    purpose TEXT NOT NULL,
    subject TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    sealed_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT,
    PRIMARY KEY (id),
    CONSTRAINT data_key_purpose CHECK (purpose IN ('vault', 'chain', 'signing', 'personal'))
)
""",
    "CREATE UNIQUE INDEX data_key_current ON data_key (merchant_id, purpose, subject) WHERE retired_at IS NULL",
    """
CREATE TABLE delivery (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    operation VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    ladder VARCHAR NOT NULL,
    is_state BOOLEAN NOT NULL,
    is_ensure BOOLEAN NOT NULL,
    ordering_key VARCHAR NOT NULL,
    body BYTEA,
    body_hash BYTEA,
    frozen_body BYTEA,
    frozen_key VARCHAR,
    data_key_id BIGINT,
    state VARCHAR NOT NULL,
    attempts INTEGER NOT NULL,
    fence BIGINT DEFAULT '0' NOT NULL,
    maybe_sent BOOLEAN NOT NULL,
    first_sent_at BIGINT,
    stale INTEGER NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    retry_attempts INTEGER,
    retry_within_us BIGINT,
    lease_owner VARCHAR,
    lease_until BIGINT NOT NULL,
    reason TEXT,
    error_class VARCHAR,
    external_id VARCHAR,
    event_seq BIGINT,
    run_id BIGINT,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    PRIMARY KEY (id),
    CONSTRAINT delivery_key UNIQUE (merchant_id, connection_id, operation, key, version),
    CONSTRAINT delivery_state CHECK (state IN ('planned', 'waiting', 'sending', 'retry', 'confirmed', 'rejected', 'uncertain', 'superseded', 'observed'))
)
""",
    "CREATE INDEX delivery_event ON delivery (merchant_id, event_seq)",
    "CREATE INDEX delivery_open ON delivery (connection_id, operation, created_at, id) WHERE state IN ('planned', 'retry', 'sending', 'waiting')",
    "CREATE INDEX delivery_open_key ON delivery (connection_id, ordering_key, created_at, id) WHERE state IN ('planned', 'retry', 'sending', 'waiting')",
    "CREATE INDEX delivery_parked ON delivery (merchant_id, id) WHERE state IN ('rejected', 'uncertain')",
    """
CREATE TABLE delivery_edit (
    merchant_id BIGINT NOT NULL,
    delivery_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    body BYTEA,
    edited_by VARCHAR NOT NULL,
    why TEXT,
    edited_at BIGINT NOT NULL,
    PRIMARY KEY (delivery_id, number)
)
""",
    """
CREATE TABLE delivery_reference (
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    delivery_id BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    PRIMARY KEY (delivery_id, kind, key)
)
""",
    "CREATE INDEX delivery_reference_key ON delivery_reference (merchant_id, connection_id, kind, key)",
    """
CREATE TABLE effect_head (
    merchant_id BIGSERIAL NOT NULL,
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (merchant_id)
)
""",
    """
CREATE TABLE effect_log (
    merchant_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    delivery_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    operation VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    external_id VARCHAR,
    body_hash BYTEA NOT NULL,
    confirmed_at BIGINT NOT NULL,
    encoding_version INTEGER NOT NULL,
    data_key_id BIGINT NOT NULL,
    prev_hash BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (merchant_id, seq)
)
""",
    """
CREATE TABLE entry_seal (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    PRIMARY KEY (id)
)
""",
    """
CREATE TABLE event_edit (
    merchant_id BIGINT NOT NULL,
    event_seq BIGINT NOT NULL,
    number INTEGER NOT NULL,
    body BYTEA,
    edited_by VARCHAR NOT NULL,
    why TEXT,
    edited_at BIGINT NOT NULL,
    PRIMARY KEY (event_seq, number)
)
""",
    """
CREATE TABLE flow_activation (
    merchant_id BIGINT NOT NULL,
    flow VARCHAR NOT NULL,
    version_hash VARCHAR NOT NULL,
    activated_at BIGINT NOT NULL,
    activated_by VARCHAR NOT NULL,
    pinned BOOLEAN NOT NULL,
    before_hash VARCHAR,
    PRIMARY KEY (merchant_id, flow)
)
""",
    """
CREATE TABLE flow_canary (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    flow VARCHAR NOT NULL,
    version_hash VARCHAR NOT NULL,
    share INTEGER NOT NULL,
    rule VARCHAR,
    state VARCHAR NOT NULL,
    recent TEXT NOT NULL,
    runs BIGINT NOT NULL,
    parked BIGINT NOT NULL,
    stable_runs BIGINT NOT NULL,
    stable_parked BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    started_by VARCHAR NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (id),
    CONSTRAINT flow_canary_state CHECK (state IN ('running', 'withdrawn', 'promoted', 'ended')),
    CONSTRAINT flow_canary_share CHECK (share BETWEEN 1 AND 100)
)
""",
    "CREATE UNIQUE INDEX flow_canary_running ON flow_canary (merchant_id, flow) WHERE state = 'running'",
    """
CREATE TABLE flow_schedule (
    merchant_id BIGINT NOT NULL,
    flow VARCHAR NOT NULL,
    schedule VARCHAR NOT NULL,
    zone VARCHAR NOT NULL,
    next_run_at BIGINT,
    last_run_at BIGINT,
    PRIMARY KEY (merchant_id, flow)
)
""",
    "CREATE INDEX flow_schedule_next ON flow_schedule (next_run_at)",
    """
CREATE TABLE flow_stamp (
    id BIGINT NOT NULL,
    changes BIGINT NOT NULL,
    PRIMARY KEY (id)
)
""",
    """
CREATE TABLE flow_version (
    hash VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    text TEXT NOT NULL,
    language_version INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (hash)
)
""",
    """
CREATE TABLE id_counter (
    id BIGINT NOT NULL,
    next BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT id_counter_one CHECK (id = 1)
)
""",
    """
CREATE TABLE inbox (
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT,
    kind VARCHAR NOT NULL,
    topic VARCHAR NOT NULL,
    record VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,
    ordering_key VARCHAR NOT NULL,
    lane INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    stamp VARCHAR,
    body BYTEA,
    content_type VARCHAR,
    reads BYTEA,
    fetched BYTEA,
    data_key_id BIGINT,
    state VARCHAR NOT NULL,
    claims INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    finished_at BIGINT,
    outcome TEXT,
    error_class VARCHAR,
    parent_seq BIGINT,
    versions TEXT,
    replay_id BIGINT,
    PRIMARY KEY (seq),
    CONSTRAINT inbox_state CHECK (state IN ('fetch', 'ready', 'retry', 'done', 'parked')),
    CONSTRAINT inbox_kind CHECK (kind IN ('webhook', 'poll', 'backfill', 'read', 'manual', 'schedule', 'core'))
)
""",
    "CREATE INDEX inbox_fetch ON inbox (merchant_id, priority, seq) WHERE state = 'fetch'",
    "CREATE INDEX inbox_open_key ON inbox (merchant_id, ordering_key, seq) WHERE state IN ('fetch', 'ready', 'retry')",
    "CREATE INDEX inbox_parked ON inbox (merchant_id, seq) WHERE state = 'parked'",
    "CREATE INDEX inbox_parked_key ON inbox (merchant_id, ordering_key, seq) WHERE state = 'parked'",
    "CREATE INDEX inbox_ready ON inbox (merchant_id, priority, seq) WHERE state IN ('ready', 'retry')",
    "CREATE INDEX inbox_record ON inbox (merchant_id, connection_id, record, record_id)",
    "CREATE INDEX inbox_replay ON inbox (replay_id, state) WHERE replay_id IS NOT NULL",
    """
CREATE TABLE inbox_seen (
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    key BYTEA NOT NULL,
    PRIMARY KEY (merchant_id, connection_id, key)
)
""",
    """
CREATE TABLE item (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    sku VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    unit VARCHAR NOT NULL,
    tracked BOOLEAN NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT item_sku UNIQUE (merchant_id, sku)
)
""",
    """
CREATE TABLE lane (
    merchant_id BIGINT NOT NULL,
    lane INTEGER NOT NULL,
    fence BIGINT NOT NULL,
    owner VARCHAR,
    until BIGINT NOT NULL,
    PRIMARY KEY (merchant_id, lane)
)
""",
    """
CREATE TABLE location (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    code VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT location_code UNIQUE (merchant_id, code),
    CONSTRAINT location_kind CHECK (kind IN ('supplier', 'warehouse', 'customer', 'loss', 'opening', 'quarantine', 'transit'))
)
""",
    """
CREATE TABLE merchant (
    id BIGINT NOT NULL,
    name VARCHAR NOT NULL,
    zone VARCHAR NOT NULL,
    currency VARCHAR NOT NULL,
    lanes INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT merchant_currency CHECK (length(currency) = 3),
    CONSTRAINT merchant_lanes CHECK (lanes > 0)
)
""",
    """
CREATE TABLE oauth_state (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    jti TEXT NOT NULL,
    used_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (merchant_id, jti)
)
""",
    """
CREATE TABLE party (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    key VARCHAR NOT NULL,
    anonymous BOOLEAN DEFAULT false NOT NULL,
    content BYTEA,
    data_key_id BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT party_key UNIQUE (merchant_id, connection_id, key)
)
""",
    """
CREATE TABLE question (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    error_class TEXT DEFAULT 'other' NOT NULL,
    subject VARCHAR NOT NULL,
    reason TEXT NOT NULL,
    details TEXT NOT NULL,
    answers TEXT NOT NULL,
    state VARCHAR NOT NULL,
    event_seq BIGINT,
    run_id BIGINT,
    delivery_id BIGINT,
    answer TEXT,
    answered_by VARCHAR,
    created_at BIGINT NOT NULL,
    closed_at BIGINT,
    told_at BIGINT,
    PRIMARY KEY (id),
    CONSTRAINT question_state CHECK (state IN ('open', 'answered', 'resolved'))
)
""",
    "CREATE UNIQUE INDEX question_open ON question (merchant_id, subject, kind) WHERE state = 'open'",
    "CREATE INDEX question_untold ON question (merchant_id, created_at, id) WHERE state = 'open' AND told_at IS NULL",
    """
CREATE TABLE replay (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    state VARCHAR NOT NULL,
    criteria TEXT NOT NULL,
    same_version BOOLEAN NOT NULL,
    most BIGINT,
    phase VARCHAR NOT NULL,
    cursor BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    total BIGINT NOT NULL,
    taken BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    skipped_reason TEXT,
    created_at BIGINT NOT NULL,
    created_by VARCHAR NOT NULL,
    finished_at BIGINT,
    PRIMARY KEY (id),
    CONSTRAINT replay_state CHECK (state IN ('running', 'paused', 'done')),
    CONSTRAINT replay_phase CHECK (phase IN ('events', 'questions'))
)
""",
    "CREATE INDEX replay_running ON replay (merchant_id, id) WHERE state = 'running'",
    """
CREATE TABLE restored (
    connection_id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    mode VARCHAR NOT NULL,
    backed_up_at BIGINT NOT NULL,
    restored_at BIGINT NOT NULL,
    first_id BIGINT NOT NULL,
    released_at BIGINT,
    last_seq BIGINT,
    PRIMARY KEY (connection_id),
    CONSTRAINT restored_mode CHECK (mode IN ('observe', 'paused', 'live'))
)
""",
    """
CREATE TABLE root_key (
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT,
    dropped_at BIGINT,
    PRIMARY KEY (id)
)
""",
    """
CREATE TABLE run (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    event_seq BIGINT NOT NULL,
    flow VARCHAR NOT NULL,
    version_hash VARCHAR NOT NULL,
    trigger VARCHAR,
    subject VARCHAR,
    state VARCHAR NOT NULL,
    reason TEXT,
    error_class VARCHAR,
    changed TEXT NOT NULL,
    scope BYTEA,
    started_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT run_state CHECK (state IN ('done', 'stopped', 'parked'))
)
""",
    "CREATE INDEX run_event ON run (merchant_id, event_seq)",
    "CREATE INDEX run_parked ON run (merchant_id, subject, flow) WHERE state = 'parked'",
    """
CREATE TABLE series (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    code VARCHAR NOT NULL,
    prefix VARCHAR NOT NULL,
    next_number BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT series_code UNIQUE (merchant_id, code),
    CONSTRAINT series_next CHECK (next_number >= 1)
)
""",
    """
CREATE TABLE setting (
    key VARCHAR NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (key)
)
""",
    """
CREATE TABLE turn (
    merchant_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    next_at BIGINT NOT NULL,
    owner VARCHAR,
    until BIGINT NOT NULL,
    PRIMARY KEY (merchant_id, name)
)
""",
    """
CREATE TABLE binding (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    external_id TEXT NOT NULL,
    our_kind TEXT,
    our_id TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (merchant_id, connection_id, kind, external_id),
    UNIQUE (merchant_id, connection_id, kind, our_id),
    FOREIGN KEY(connection_id) REFERENCES connection (id)
)
""",
    """
CREATE TABLE book (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    currency VARCHAR NOT NULL,
    zone VARCHAR NOT NULL,
    chart VARCHAR NOT NULL,
    next_seq BIGINT NOT NULL,
    head_hash BYTEA NOT NULL,
    data_key_id BIGINT NOT NULL,
    closed_through DATE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT book_merchant UNIQUE (merchant_id),
    CONSTRAINT book_currency CHECK (length(currency) = 3),
    FOREIGN KEY(merchant_id) REFERENCES merchant (id)
)
""",
    """
CREATE TABLE channel_level (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    item_id BIGINT NOT NULL,
    expected BIGINT,
    acknowledged BIGINT,
    adopted_at BIGINT,
    item_ref VARCHAR,
    location_ref VARCHAR,
    PRIMARY KEY (id),
    CONSTRAINT channel_level_item UNIQUE (merchant_id, item_id, connection_id),
    FOREIGN KEY(item_id) REFERENCES item (id)
)
""",
    "CREATE INDEX channel_level_ref ON channel_level (merchant_id, item_ref)",
    """
CREATE TABLE item_alias (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    key VARCHAR NOT NULL,
    item_id BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT item_alias_key UNIQUE (merchant_id, connection_id, key),
    FOREIGN KEY(item_id) REFERENCES item (id)
)
""",
    """
CREATE TABLE poll_cursor (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    record TEXT NOT NULL,
    cursor TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (merchant_id, connection_id, record),
    FOREIGN KEY(connection_id) REFERENCES connection (id)
)
""",
    """
CREATE TABLE reservation (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    item_id BIGINT NOT NULL,
    location_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    order_line_id BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    shipped BIGINT NOT NULL,
    state VARCHAR NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    expires_at BIGINT,
    PRIMARY KEY (id),
    CONSTRAINT reservation_state CHECK (state IN ('waiting', 'held', 'posted', 'voided')),
    CONSTRAINT reservation_quantity CHECK (quantity > 0),
    CONSTRAINT reservation_shipped CHECK (shipped >= 0 AND shipped <= quantity),
    CONSTRAINT reservation_ended CHECK ((ended_at IS NULL) = (state IN ('waiting', 'held'))),
    CONSTRAINT reservation_posted CHECK (state <> 'posted' OR shipped = quantity),
    CONSTRAINT reservation_waits_whole CHECK (state <> 'waiting' OR shipped = 0),
    FOREIGN KEY(item_id) REFERENCES item (id),
    FOREIGN KEY(location_id) REFERENCES location (id)
)
""",
    "CREATE INDEX reservation_order ON reservation (merchant_id, order_id)",
    "CREATE INDEX reservation_waiting ON reservation (merchant_id, item_id, location_id, created_at) WHERE state = 'waiting'",
    """
CREATE TABLE role_binding (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    role TEXT NOT NULL,
    connection_id BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (merchant_id, role, connection_id),
    FOREIGN KEY(connection_id) REFERENCES connection (id)
)
""",
    """
CREATE TABLE sales_order (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    external_id VARCHAR NOT NULL,
    ref VARCHAR NOT NULL,
    party_id BIGINT,
    name VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    placed_at BIGINT NOT NULL,
    currency VARCHAR NOT NULL,
    prices_include_tax BOOLEAN DEFAULT false NOT NULL,
    tax_exempt BOOLEAN DEFAULT false NOT NULL,
    financial_status VARCHAR NOT NULL,
    cancelled_at BIGINT,
    cancel_reason VARCHAR,
    total BIGINT NOT NULL,
    total_tax BIGINT NOT NULL,
    current_total BIGINT NOT NULL,
    outstanding BIGINT NOT NULL,
    rounding BIGINT NOT NULL,
    presentment_total BIGINT,
    presentment_currency VARCHAR,
    contact BYTEA,
    data_key_id BIGINT,
    header_as_of BIGINT NOT NULL,
    header_hash VARCHAR NOT NULL,
    lines_as_of BIGINT,
    lines_hash VARCHAR,
    payments_as_of BIGINT,
    payments_hash VARCHAR,
    refunds_as_of BIGINT,
    refunds_hash VARCHAR,
    fulfilments_as_of BIGINT,
    fulfilments_hash VARCHAR,
    receivable VARCHAR NOT NULL,
    rounding_booked BIGINT NOT NULL,
    invoiced BOOLEAN DEFAULT false NOT NULL,
    released_at BIGINT,
    withdrawn_at BIGINT,
    questions TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT sales_order_external UNIQUE (merchant_id, connection_id, external_id),
    CONSTRAINT sales_order_ref UNIQUE (merchant_id, ref),
    CONSTRAINT sales_order_state CHECK (state IN ('open', 'closed', 'cancelled', 'before_go_live')),
    FOREIGN KEY(party_id) REFERENCES party (id)
)
""",
    "CREATE INDEX sales_order_placed ON sales_order (merchant_id, placed_at)",
    """
CREATE TABLE stock_level (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    item_id BIGINT NOT NULL,
    location_id BIGINT NOT NULL,
    guarded BOOLEAN NOT NULL,
    on_hand BIGINT NOT NULL,
    held BIGINT NOT NULL,
    waiting BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT stock_level_place UNIQUE (merchant_id, item_id, location_id),
    CONSTRAINT stock_level_on_hand CHECK (NOT guarded OR on_hand >= 0),
    CONSTRAINT stock_level_held CHECK (held >= 0),
    CONSTRAINT stock_level_held_is_there CHECK (NOT guarded OR held <= on_hand),
    CONSTRAINT stock_level_waiting CHECK (waiting >= 0),
    FOREIGN KEY(item_id) REFERENCES item (id),
    FOREIGN KEY(location_id) REFERENCES location (id)
)
""",
    """
CREATE TABLE token_lease (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    state TEXT NOT NULL,
    fence BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    parent BIGINT,
    closed_until BIGINT NOT NULL,
    due_at BIGINT,
    unanswered BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    reason TEXT,
    owner TEXT,
    renewed_at BIGINT,
    PRIMARY KEY (id),
    UNIQUE (merchant_id, connection_id),
    CONSTRAINT token_lease_state CHECK (state IN ('idle', 'asking', 'waiting', 'refused')),
    FOREIGN KEY(connection_id) REFERENCES connection (id)
)
""",
    "CREATE INDEX token_lease_due ON token_lease (due_at) WHERE due_at IS NOT NULL",
    """
CREATE TABLE account (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    book_id BIGINT NOT NULL,
    code VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    currency VARCHAR NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT account_code UNIQUE (merchant_id, book_id, code, currency),
    CONSTRAINT account_currency UNIQUE (id, currency),
    CONSTRAINT account_currency_code CHECK (length(currency) = 3),
    FOREIGN KEY(book_id) REFERENCES book (id)
)
""",
    """
CREATE TABLE entry (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    book_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    ref VARCHAR NOT NULL,
    payload_hash BYTEA NOT NULL,
    journal VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    label TEXT NOT NULL,
    document_ref VARCHAR,
    party_id BIGINT,
    effective_date DATE NOT NULL,
    origin_date DATE,
    recorded_at BIGINT NOT NULL,
    reverses_id BIGINT,
    corrects_id BIGINT,
    encoding_version INTEGER NOT NULL,
    data_key_id BIGINT NOT NULL,
    prev_hash BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT entry_ref UNIQUE (merchant_id, ref),
    CONSTRAINT entry_seq UNIQUE (merchant_id, book_id, seq),
    CONSTRAINT entry_reversed_once UNIQUE (merchant_id, reverses_id),
    CONSTRAINT entry_sealed FOREIGN KEY(id) REFERENCES entry_seal (id) DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY(book_id) REFERENCES book (id),
    FOREIGN KEY(reverses_id) REFERENCES entry (id),
    FOREIGN KEY(corrects_id) REFERENCES entry (id)
)
""",
    "CREATE INDEX entry_document ON entry (merchant_id, document_ref)",
    "CREATE INDEX entry_effective ON entry (merchant_id, effective_date)",
    """
CREATE TABLE fulfilment (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    external_id VARCHAR NOT NULL,
    origin VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    carrier VARCHAR,
    service VARCHAR,
    tracking_number VARCHAR,
    tracking_url VARCHAR,
    shipped_at BIGINT,
    lines TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT fulfilment_external UNIQUE (merchant_id, connection_id, external_id),
    CONSTRAINT fulfilment_origin CHECK (origin IN ('shop', 'warehouse')),
    FOREIGN KEY(order_id) REFERENCES sales_order (id)
)
""",
    "CREATE INDEX fulfilment_order ON fulfilment (merchant_id, order_id)",
    """
CREATE TABLE move (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    item_id BIGINT NOT NULL,
    lot VARCHAR,
    quantity BIGINT NOT NULL,
    source_id BIGINT NOT NULL,
    destination_id BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    ref VARCHAR NOT NULL,
    reservation_id BIGINT,
    effective_date DATE NOT NULL,
    recorded_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT move_ref UNIQUE (merchant_id, ref),
    CONSTRAINT move_quantity CHECK (quantity > 0),
    CONSTRAINT move_places CHECK (source_id <> destination_id),
    FOREIGN KEY(item_id) REFERENCES item (id),
    FOREIGN KEY(source_id) REFERENCES location (id),
    FOREIGN KEY(destination_id) REFERENCES location (id),
    FOREIGN KEY(reservation_id) REFERENCES reservation (id)
)
""",
    "CREATE INDEX move_item ON move (merchant_id, item_id, effective_date)",
    """
CREATE TABLE order_line (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    external_id VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    sku VARCHAR,
    variant_id VARCHAR,
    item_id BIGINT,
    title TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    current_quantity BIGINT NOT NULL,
    unit_price BIGINT NOT NULL,
    gross BIGINT NOT NULL,
    discounts TEXT NOT NULL,
    taxes TEXT NOT NULL,
    requires_shipping BOOLEAN DEFAULT false NOT NULL,
    present BOOLEAN DEFAULT true NOT NULL,
    shipped BIGINT NOT NULL,
    returned BIGINT NOT NULL,
    released BIGINT NOT NULL,
    channel_taken BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT order_line_external UNIQUE (merchant_id, order_id, external_id),
    CONSTRAINT order_line_goods CHECK (shipped >= 0 AND returned >= 0 AND returned <= shipped),
    FOREIGN KEY(order_id) REFERENCES sales_order (id),
    FOREIGN KEY(item_id) REFERENCES item (id)
)
""",
    """
CREATE TABLE payment (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    external_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    gateway VARCHAR NOT NULL,
    amount BIGINT NOT NULL,
    currency VARCHAR NOT NULL,
    fee BIGINT,
    paid_at BIGINT NOT NULL,
    effective_date DATE NOT NULL,
    entry_id BIGINT,
    announced BOOLEAN DEFAULT false NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT payment_external UNIQUE (merchant_id, connection_id, external_id),
    CONSTRAINT payment_kind CHECK (kind IN ('payment', 'refund')),
    CONSTRAINT payment_amount CHECK (amount >= 0),
    FOREIGN KEY(order_id) REFERENCES sales_order (id)
)
""",
    "CREATE INDEX payment_order ON payment (merchant_id, order_id)",
    """
CREATE TABLE refund (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    connection_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    external_id VARCHAR NOT NULL,
    refunded_at BIGINT NOT NULL,
    total BIGINT NOT NULL,
    note TEXT,
    content TEXT NOT NULL,
    credited BOOLEAN DEFAULT false NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT refund_external UNIQUE (merchant_id, connection_id, external_id),
    FOREIGN KEY(order_id) REFERENCES sales_order (id)
)
""",
    "CREATE INDEX refund_order ON refund (merchant_id, order_id)",
    """
CREATE TABLE document (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    ordinal INTEGER NOT NULL,
    number VARCHAR NOT NULL,
    reason VARCHAR,
    refund_id BIGINT,
    corrects_id BIGINT,
    party_id BIGINT,
    currency VARCHAR NOT NULL,
    issued_at BIGINT NOT NULL,
    effective_date DATE NOT NULL,
    total_net BIGINT NOT NULL,
    total_tax BIGINT NOT NULL,
    total BIGINT NOT NULL,
    entry_id BIGINT,
    content BYTEA,
    content_hash BYTEA NOT NULL,
    data_key_id BIGINT,
    PRIMARY KEY (id),
    CONSTRAINT document_ordinal UNIQUE (merchant_id, order_id, kind, ordinal),
    CONSTRAINT document_number UNIQUE (merchant_id, number),
    CONSTRAINT document_refund UNIQUE (merchant_id, refund_id),
    CONSTRAINT document_kind CHECK (kind IN ('invoice', 'credit_note')),
    CONSTRAINT document_total CHECK (total = total_net + total_tax),
    FOREIGN KEY(order_id) REFERENCES sales_order (id),
    FOREIGN KEY(refund_id) REFERENCES refund (id),
    FOREIGN KEY(corrects_id) REFERENCES document (id),
    FOREIGN KEY(party_id) REFERENCES party (id)
)
""",
    "CREATE INDEX document_issued ON document (merchant_id, issued_at)",
    """
CREATE TABLE posting (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    entry_id BIGINT NOT NULL,
    line INTEGER NOT NULL,
    account_id BIGINT NOT NULL,
    currency VARCHAR NOT NULL,
    amount BIGINT NOT NULL,
    party_id BIGINT,
    vat_code VARCHAR,
    PRIMARY KEY (id),
    CONSTRAINT posting_line UNIQUE (merchant_id, entry_id, line),
    CONSTRAINT posting_amount CHECK (amount <> 0),
    CONSTRAINT posting_account FOREIGN KEY(account_id, currency) REFERENCES account (id, currency),
    FOREIGN KEY(entry_id) REFERENCES entry (id)
)
""",
    "CREATE INDEX posting_of_account ON posting (merchant_id, account_id)",
    """
CREATE TABLE document_line (
    id BIGINT NOT NULL,
    merchant_id BIGINT NOT NULL,
    document_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    line INTEGER NOT NULL,
    source VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    sku VARCHAR,
    item_id BIGINT,
    title TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    net BIGINT NOT NULL,
    tax BIGINT NOT NULL,
    rate VARCHAR,
    vat_code VARCHAR,
    account VARCHAR,
    tax_account VARCHAR,
    PRIMARY KEY (id),
    CONSTRAINT document_line_place UNIQUE (merchant_id, document_id, line),
    FOREIGN KEY(document_id) REFERENCES document (id),
    FOREIGN KEY(order_id) REFERENCES sales_order (id)
)
""",
    "CREATE INDEX document_line_order ON document_line (merchant_id, order_id)",
    """
CREATE FUNCTION hub_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'integrity_constraint_violation';
END $$
""",
    """
CREATE FUNCTION hub_data_key_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'data_key: a key of a chain is retired, never deleted or replaced' USING ERRCODE = 'integrity_constraint_violation';
END $$
""",
    "CREATE TRIGGER data_key_deleted BEFORE DELETE ON data_key FOR EACH ROW WHEN (OLD.purpose IN ('chain', 'signing')) EXECUTE FUNCTION hub_data_key_kept()",
    "CREATE TRIGGER data_key_fixed BEFORE UPDATE ON data_key FOR EACH ROW WHEN (OLD.purpose IN ('chain', 'signing') AND (NEW.id, NEW.merchant_id, NEW.purpose) IS DISTINCT FROM (OLD.id, OLD.merchant_id, OLD.purpose)) EXECUTE FUNCTION hub_data_key_kept()",
    "CREATE TRIGGER data_key_truncated BEFORE TRUNCATE ON data_key FOR EACH STATEMENT EXECUTE FUNCTION hub_data_key_kept()",
    "CREATE TRIGGER entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse()",
    "CREATE TRIGGER posting_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON posting FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse()",
    "CREATE TRIGGER entry_seal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry_seal FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse()",
    """
CREATE FUNCTION hub_account_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.id IS DISTINCT FROM OLD.id OR NEW.merchant_id IS DISTINCT FROM OLD.merchant_id OR NEW.book_id IS DISTINCT FROM OLD.book_id OR NEW.code IS DISTINCT FROM OLD.code OR NEW.currency IS DISTINCT FROM OLD.currency THEN
    RAISE EXCEPTION 'account: id, merchant_id, book_id, code, currency never change'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$
""",
    "CREATE TRIGGER account_fixed BEFORE UPDATE ON account FOR EACH ROW EXECUTE FUNCTION hub_account_fixed()",
    "CREATE TRIGGER account_deleted BEFORE DELETE OR TRUNCATE ON account FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse()",
    """
CREATE FUNCTION hub_posting_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM added JOIN entry_seal ON entry_seal.id = added.entry_id) THEN
    RAISE EXCEPTION 'posting: the entry is sealed' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF EXISTS (
    SELECT 1 FROM added JOIN entry ON entry.id = added.entry_id WHERE entry.merchant_id <> added.merchant_id
  ) THEN
    RAISE EXCEPTION 'posting: the entry is another merchant''s' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$
""",
    """
CREATE TRIGGER posting_added AFTER INSERT ON posting REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION hub_posting_added()
""",
    """
CREATE FUNCTION hub_entry_seal_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM added
    LEFT JOIN entry ON entry.id = added.id
    LEFT JOIN book ON book.id = entry.book_id
    WHERE entry.merchant_id IS DISTINCT FROM added.merchant_id
      OR book.merchant_id IS DISTINCT FROM added.merchant_id
  ) THEN
    RAISE EXCEPTION 'entry_seal: the entry is not there or is another merchant''s'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF EXISTS (
    SELECT 1 FROM added
    LEFT JOIN posting ON posting.merchant_id = added.merchant_id AND posting.entry_id = added.id
    GROUP BY added.id HAVING count(posting.id) < 2
  ) THEN
    RAISE EXCEPTION 'entry_seal: an entry has at least two postings'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF EXISTS (
    SELECT 1 FROM added
    JOIN posting ON posting.merchant_id = added.merchant_id AND posting.entry_id = added.id
    GROUP BY added.id, posting.currency HAVING sum(posting.amount) <> 0
  ) THEN
    RAISE EXCEPTION 'entry_seal: the postings do not add up to zero'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF EXISTS (
    SELECT 1 FROM added
    JOIN entry ON entry.id = added.id
    JOIN posting ON posting.merchant_id = added.merchant_id AND posting.entry_id = added.id
    JOIN account ON account.id = posting.account_id
    WHERE account.book_id <> entry.book_id
  ) THEN
    RAISE EXCEPTION 'entry_seal: an account is of another book'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$
""",
    """
CREATE TRIGGER entry_seal_added AFTER INSERT ON entry_seal REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION hub_entry_seal_added()
""",
    """
CREATE FUNCTION hub_series_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.next_number < OLD.next_number OR NEW.code <> OLD.code OR NEW.prefix <> OLD.prefix
    OR NEW.merchant_id <> OLD.merchant_id THEN
    RAISE EXCEPTION 'series: a number is never taken back' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$
""",
    "CREATE TRIGGER series_updated BEFORE UPDATE ON series FOR EACH ROW EXECUTE FUNCTION hub_series_updated()",
    "CREATE TRIGGER series_deleted BEFORE DELETE OR TRUNCATE ON series FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse()",
    "ALTER FUNCTION hub_posting_added() SET enable_seqscan = off",
    "ALTER FUNCTION hub_posting_added() SET enable_hashjoin = off",
    "ALTER FUNCTION hub_posting_added() SET enable_mergejoin = off",
    "ALTER FUNCTION hub_entry_seal_added() SET enable_seqscan = off",
    "ALTER FUNCTION hub_entry_seal_added() SET enable_hashjoin = off",
    "ALTER FUNCTION hub_entry_seal_added() SET enable_mergejoin = off",
    """
CREATE FUNCTION hub_document_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.id IS DISTINCT FROM OLD.id OR NEW.merchant_id IS DISTINCT FROM OLD.merchant_id OR NEW.order_id IS DISTINCT FROM OLD.order_id OR NEW.kind IS DISTINCT FROM OLD.kind OR NEW.ordinal IS DISTINCT FROM OLD.ordinal OR NEW.number IS DISTINCT FROM OLD.number OR NEW.reason IS DISTINCT FROM OLD.reason OR NEW.refund_id IS DISTINCT FROM OLD.refund_id OR NEW.corrects_id IS DISTINCT FROM OLD.corrects_id OR NEW.party_id IS DISTINCT FROM OLD.party_id OR NEW.currency IS DISTINCT FROM OLD.currency OR NEW.issued_at IS DISTINCT FROM OLD.issued_at OR NEW.effective_date IS DISTINCT FROM OLD.effective_date OR NEW.total_net IS DISTINCT FROM OLD.total_net OR NEW.total_tax IS DISTINCT FROM OLD.total_tax OR NEW.total IS DISTINCT FROM OLD.total OR NEW.entry_id IS DISTINCT FROM OLD.entry_id OR NEW.content_hash IS DISTINCT FROM OLD.content_hash THEN
    RAISE EXCEPTION 'document: id, merchant_id, order_id, kind, ordinal, number, reason, refund_id, corrects_id, party_id, currency, issued_at, effective_date, total_net, total_tax, total, entry_id, content_hash never change'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$
""",
    "CREATE TRIGGER document_fixed BEFORE UPDATE ON document FOR EACH ROW EXECUTE FUNCTION hub_document_fixed()",
    "CREATE TRIGGER document_deleted BEFORE DELETE OR TRUNCATE ON document FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse()",
    "CREATE TRIGGER document_line_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON document_line FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse()",
    "CREATE TRIGGER move_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON move FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse()",
    """
CREATE FUNCTION hub_reservation_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.id IS DISTINCT FROM OLD.id OR NEW.merchant_id IS DISTINCT FROM OLD.merchant_id OR NEW.item_id IS DISTINCT FROM OLD.item_id OR NEW.location_id IS DISTINCT FROM OLD.location_id OR NEW.order_id IS DISTINCT FROM OLD.order_id OR NEW.order_line_id IS DISTINCT FROM OLD.order_line_id OR NEW.quantity IS DISTINCT FROM OLD.quantity OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN
    RAISE EXCEPTION 'reservation: id, merchant_id, item_id, location_id, order_id, order_line_id, quantity, created_at never change'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$
""",
    "CREATE TRIGGER reservation_fixed BEFORE UPDATE ON reservation FOR EACH ROW EXECUTE FUNCTION hub_reservation_fixed()",
    "CREATE TRIGGER reservation_deleted BEFORE DELETE OR TRUNCATE ON reservation FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse()",
    """
CREATE FUNCTION hub_reservation_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state IN ('posted', 'voided') OR NEW.shipped < OLD.shipped OR (NEW.state = 'waiting' AND OLD.state <> 'waiting') THEN
    RAISE EXCEPTION 'reservation: it ends once, and shipped units stay shipped'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$
""",
    "CREATE TRIGGER reservation_step BEFORE UPDATE ON reservation FOR EACH ROW EXECUTE FUNCTION hub_reservation_step()",
    "CREATE FUNCTION effect_log_sealed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'effect_log is append-only'; END $$",
    "CREATE TRIGGER effect_log_no_change BEFORE UPDATE OR DELETE ON effect_log FOR EACH ROW EXECUTE FUNCTION effect_log_sealed()",
    "CREATE TRIGGER effect_log_no_truncate BEFORE TRUNCATE ON effect_log FOR EACH STATEMENT EXECUTE FUNCTION effect_log_sealed()",
    "CREATE FUNCTION effect_head_sealed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'effect_head only moves on'; END $$",
    "CREATE TRIGGER effect_head_no_delete BEFORE DELETE OR TRUNCATE ON effect_head FOR EACH STATEMENT EXECUTE FUNCTION effect_head_sealed()",
    "CREATE TRIGGER effect_head_forward BEFORE UPDATE ON effect_head FOR EACH ROW WHEN (NEW.seq <= OLD.seq OR NEW.merchant_id <> OLD.merchant_id) EXECUTE FUNCTION effect_head_sealed()",
    "INSERT INTO id_counter (id, next) VALUES (1, 1000)",
]
