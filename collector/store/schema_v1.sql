-- The journal is the record; every table below the line is a fold over it and can be rebuilt.

-- One row per thing that happened, in order of receipt. digest = SHA-256 over the digest before it and this row
-- (journal.py), taken over payload_digest, so that a payload may be compacted or retired and the chain still holds.
CREATE TABLE journal (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,            -- monotone time of receipt, UTC ns
    kind INTEGER NOT NULL,
    terminal TEXT NOT NULL,         -- '' for entries of the collector itself
    facts BLOB NOT NULL,            -- msgpack map: what was computed once on receipt (verdict, historical, skew)
    payload BLOB,                   -- as received; a batch: the whole MQTT payload
    payload_digest BLOB NOT NULL,
    digest BLOB NOT NULL,
    t0 INTEGER,                     -- batches: corrected reading times, UTC ms, oldest and newest
    t1 INTEGER
);
CREATE INDEX journal_span ON journal (terminal, t1) WHERE t1 IS NOT NULL;

-- Secrets that wait to be used once; not part of the fold. Only the SHA-256 of a token's secret is kept.
CREATE TABLE token (
    secret_digest BLOB PRIMARY KEY,
    terminal TEXT NOT NULL,
    branch TEXT NOT NULL,
    region TEXT NOT NULL,
    class TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
) WITHOUT ROWID;

-- Deliveries to ticket systems. Rows are inserted in the transaction of the incident they speak of.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    incident TEXT NOT NULL,         -- correlation id
    op TEXT NOT NULL,               -- open | update | resolve
    seq INTEGER NOT NULL,           -- order within the incident
    body BLOB NOT NULL,             -- msgpack map, what the connector renders
    level INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL,            -- pending | sending | uncertain | done | dead
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    done_at INTEGER,
    answer TEXT NOT NULL DEFAULT '',
    UNIQUE (incident, seq)
);
CREATE INDEX outbox_waiting ON outbox (state, not_before) WHERE state IN ('pending', 'sending', 'uncertain');

-- What came back from ticket systems: (connector, external id) of each incident.
CREATE TABLE ticket_link (
    incident TEXT PRIMARY KEY,
    connector TEXT NOT NULL,
    external_id TEXT NOT NULL,
    url TEXT NOT NULL,
    state TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- ------------------------------------------------------------------------------------------------ fold state

CREATE TABLE terminal (
    id TEXT PRIMARY KEY,
    branch TEXT NOT NULL,
    region TEXT NOT NULL,
    class TEXT NOT NULL,
    state TEXT NOT NULL,            -- active | revoked
    enrolled_at INTEGER NOT NULL,
    status BLOB NOT NULL            -- msgpack map: connection, last_received, lost, skew, life (fold.py)
) WITHOUT ROWID;

CREATE TABLE terminal_key (
    terminal TEXT NOT NULL,
    key_id BLOB NOT NULL,           -- first 8 bytes of SHA-256 over the public key
    public BLOB NOT NULL,           -- Ed25519, 32 bytes
    state TEXT NOT NULL,            -- pending | active | retiring | revoked
    since INTEGER NOT NULL,
    PRIMARY KEY (terminal, key_id)
) WITHOUT ROWID;

-- Every epoch ever seen, so that late copies are duplicates for ever. mark: last accepted seq; tail: its digest.
CREATE TABLE stream (
    terminal TEXT NOT NULL,
    epoch BLOB NOT NULL,
    mark INTEGER NOT NULL,
    tail BLOB NOT NULL,
    current INTEGER NOT NULL,
    PRIMARY KEY (terminal, epoch)
) WITHOUT ROWID;

-- Latest values and the open hour of each signal, one row a component: one page written where rows per signal write many.
CREATE TABLE component (
    terminal TEXT NOT NULL,
    name TEXT NOT NULL,
    unknown TEXT NOT NULL,          -- why nothing current is known of it; empty: it is known
    worst INTEGER NOT NULL,         -- gravest judgement among its latest values: 0 none, 1 ok, 2 warn, 3 crit
    state BLOB NOT NULL,
    PRIMARY KEY (terminal, name)
) WITHOUT ROWID;

-- Closed hours: msgpack map signal -> [n, sum, min, max, last, last_at], merged when late batches arrive.
CREATE TABLE rollup (
    terminal TEXT NOT NULL,
    component TEXT NOT NULL,
    hour INTEGER NOT NULL,          -- hours since 1970, of the corrected reading time
    signals BLOB NOT NULL,
    PRIMARY KEY (terminal, component, hour)
) WITHOUT ROWID;

CREATE TABLE detector (
    detector TEXT NOT NULL,
    terminal TEXT NOT NULL,
    component TEXT NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (detector, terminal, component)
) WITHOUT ROWID;

CREATE TABLE alarm (
    id INTEGER PRIMARY KEY,
    rule TEXT NOT NULL,
    terminal TEXT NOT NULL,
    component TEXT NOT NULL,
    episode INTEGER NOT NULL,
    condition TEXT NOT NULL,        -- normal | active | unknown
    level INTEGER NOT NULL,
    raised_at INTEGER NOT NULL,
    cleared_at INTEGER NOT NULL,    -- 0 while open
    incident TEXT NOT NULL,
    detail BLOB NOT NULL,           -- msgpack map: text, signal, value, unit, evidence
    UNIQUE (rule, terminal, component, episode)
);
CREATE INDEX alarm_open ON alarm (terminal) WHERE condition <> 'normal';

-- Append-only: every change of every alarm, the source of every figure.
CREATE TABLE alarm_event (
    seq INTEGER PRIMARY KEY,
    alarm INTEGER NOT NULL,
    kind TEXT NOT NULL,             -- raised | level | cleared | unknown | recurred
    at INTEGER NOT NULL,
    level INTEGER NOT NULL,
    detail BLOB NOT NULL
);

CREATE TABLE incident (
    corr_id TEXT PRIMARY KEY,
    terminal TEXT NOT NULL,
    branch TEXT NOT NULL,
    level INTEGER NOT NULL,
    state TEXT NOT NULL,            -- open | restored
    opened_at INTEGER NOT NULL,
    restored_at INTEGER NOT NULL,
    seq INTEGER NOT NULL            -- deliveries enqueued so far
) WITHOUT ROWID;
