-- Version 5: a message goes to several receivers, each with rows of its own; a row is leased by who sends it; what ticket systems say back.

-- A table's UNIQUE cannot be altered: it is made anew. What waited for the one receiver that there was waits for the connector of that name.
CREATE TABLE outbox_v5 (
    id INTEGER PRIMARY KEY,
    connector TEXT NOT NULL,            -- NAME of [tickets.NAME] or [channels.NAME], 'drills', or '' while none is configured
    incident TEXT NOT NULL,             -- correlation id
    op TEXT NOT NULL,                   -- open | update | resolve: to the ticket; notify: to a person
    seq INTEGER NOT NULL,               -- of the message: order within a lane, which is connector, incident, channel and contact
    queue TEXT NOT NULL DEFAULT '',     -- in the receiver's own word, where a route names one
    channel TEXT NOT NULL DEFAULT '',   -- of a person: phone | sms | mail
    contact TEXT NOT NULL DEFAULT '',
    body BLOB NOT NULL,                 -- msgpack map, what the connector renders
    level INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL,                -- pending | sending | uncertain | done | dead
    attempts INTEGER NOT NULL DEFAULT 0,    -- and the fencing token: each taking has its own
    not_before INTEGER NOT NULL DEFAULT 0,
    owner TEXT NOT NULL DEFAULT '',     -- the sender that took it
    lease_until INTEGER NOT NULL DEFAULT 0, -- from when on another sender may take what this one left `sending`
    done_at INTEGER,
    told_in INTEGER,                    -- the row that told it together with itself
    answer TEXT NOT NULL DEFAULT '',
    UNIQUE (connector, incident, channel, contact, seq)
);
INSERT INTO outbox_v5 (id, connector, incident, op, seq, body, level, created_at, state, attempts, not_before, done_at, answer)
    SELECT id, CASE drill WHEN 1 THEN 'drills' ELSE 'webhook' END, incident, op, seq, body, level, created_at, state, attempts, not_before, done_at, answer
    FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_v5 RENAME TO outbox;
CREATE INDEX outbox_told_in ON outbox (told_in) WHERE told_in IS NOT NULL;
CREATE INDEX outbox_incident ON outbox (incident, seq);
-- In the order in which waiting messages go: a storm leaves thousands, and each look for the next few would sort them all.
CREATE INDEX outbox_order ON outbox (connector, level, created_at, id) WHERE state <> 'done';

-- The one ticket of an incident. status: the system's own word, empty while only our own delivery is known; updated_at: there; verified_at: when it
-- was last read, 0 where that is due; said: the last note of a person that was taken over; verdict, part: what the technician found and changed;
-- adopted: it was merged into, or chosen by a person, and may show the key of another incident.
ALTER TABLE ticket_link ADD COLUMN status TEXT NOT NULL DEFAULT '';
ALTER TABLE ticket_link ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE ticket_link ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ticket_link ADD COLUMN verified_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ticket_link ADD COLUMN said TEXT NOT NULL DEFAULT '';
ALTER TABLE ticket_link ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ticket_link ADD COLUMN verdict TEXT NOT NULL DEFAULT '';
ALTER TABLE ticket_link ADD COLUMN part TEXT NOT NULL DEFAULT '';
CREATE INDEX ticket_link_external ON ticket_link (connector, external_id);
CREATE INDEX ticket_link_due ON ticket_link (connector) WHERE verified_at = 0;

CREATE TABLE sync_cursor (connector TEXT PRIMARY KEY, cursor TEXT NOT NULL, asked_at INTEGER NOT NULL) WITHOUT ROWID;

-- Calls of ticket systems that were taken: a second one of the same id is answered, and not acted on. body: of what the call itself says, until that
-- is journaled.
CREATE TABLE ticket_inbox (
    connector TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    body BLOB,
    PRIMARY KEY (connector, delivery_id)
) WITHOUT ROWID;
CREATE INDEX ticket_inbox_age ON ticket_inbox (received_at);
CREATE INDEX ticket_inbox_waiting ON ticket_inbox (received_at) WHERE body IS NOT NULL;
