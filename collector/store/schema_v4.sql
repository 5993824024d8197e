-- Alarms with masks, incidents with several alarms and a life of their own, and the log of states that figures are computed from.

ALTER TABLE alarm ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;   -- over, and nobody has acknowledged it
ALTER TABLE alarm ADD COLUMN drill INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarm ADD COLUMN marks BLOB NOT NULL DEFAULT x'';       -- msgpack [masks, turns]
CREATE INDEX alarm_returned ON alarm (id) WHERE returned;
CREATE INDEX alarm_of_incident ON alarm (incident);
CREATE INDEX alarm_event_at ON alarm_event (at);
CREATE INDEX alarm_event_of ON alarm_event (alarm);

ALTER TABLE incident ADD COLUMN region TEXT NOT NULL DEFAULT '';
ALTER TABLE incident ADD COLUMN scope TEXT NOT NULL DEFAULT 'terminal';   -- terminal | branch | region | fleet
ALTER TABLE incident ADD COLUMN announced_at INTEGER NOT NULL DEFAULT 0;  -- 0: the ticket system was never told
ALTER TABLE incident ADD COLUMN closed_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incident ADD COLUMN drill INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incident ADD COLUMN body BLOB NOT NULL DEFAULT x'';           -- msgpack map of the rest (incidents.py)
-- Those of an older version: see upgrading.py.
CREATE INDEX incident_living ON incident (state) WHERE state NOT IN ('closed', 'dropped');
CREATE INDEX incident_opened ON incident (opened_at);

-- Which alarm is part of which incident, as it is now or was last; the whole history is in the events.
CREATE TABLE incident_alarm (
    incident TEXT NOT NULL,
    alarm INTEGER NOT NULL,
    rule TEXT NOT NULL,
    terminal TEXT NOT NULL,
    component TEXT NOT NULL,
    role TEXT NOT NULL,             -- root | consequence | child
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,         -- 0 while it lasts
    PRIMARY KEY (incident, alarm)
) WITHOUT ROWID;
CREATE INDEX incident_alarm_open ON incident_alarm (incident) WHERE until = 0;

-- Append-only: every change of every incident, the source of every figure about people.
CREATE TABLE incident_event (
    seq INTEGER PRIMARY KEY,
    incident TEXT NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX incident_event_of ON incident_event (incident);
CREATE INDEX incident_event_at ON incident_event (at);

-- Append-only: the states of terminals, the source of every figure about availability (records.py).
CREATE TABLE state_change (
    seq INTEGER PRIMARY KEY,
    terminal TEXT NOT NULL,
    since INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,             -- state | cause
    body BLOB NOT NULL
);
CREATE INDEX state_change_of ON state_change (terminal, since);

CREATE TABLE late_span (
    seq INTEGER PRIMARY KEY,
    terminal TEXT NOT NULL,
    t0 INTEGER NOT NULL,
    t1 INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX late_span_of ON late_span (terminal, t0);

-- What people corrected; n is the entry of the journal that carries the signature.
CREATE TABLE correction (
    n INTEGER PRIMARY KEY,
    terminal TEXT NOT NULL,
    t0 INTEGER NOT NULL,
    t1 INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX correction_of ON correction (terminal, t0);

-- When the collector itself was away: nobody could be heard.
CREATE TABLE outage (
    since INTEGER PRIMARY KEY,
    until INTEGER NOT NULL
) WITHOUT ROWID;

-- Maintenance windows that people made; those of the policy are in its text.
CREATE TABLE maintenance (
    id TEXT PRIMARY KEY,
    body BLOB NOT NULL
) WITHOUT ROWID;

ALTER TABLE outbox ADD COLUMN drill INTEGER NOT NULL DEFAULT 0;     -- somebody injected the fault: another queue, another receiver
-- In the order in which waiting messages go: a storm leaves thousands, and each look for the next few would sort them all.
CREATE INDEX outbox_order ON outbox (drill, level, created_at, id) WHERE state IN ('pending', 'sending', 'uncertain');
