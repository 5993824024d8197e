-- Version 7: what people know of a terminal beside its readings, and what it was asked for. All of it is a fold over the journal.

-- The device file: what was bought, by whom it is held, until when it is under warranty.
CREATE TABLE asset (
    terminal TEXT PRIMARY KEY,
    detail BLOB NOT NULL            -- msgpack map of its fields
) WITHOUT ROWID;

CREATE TABLE terminal_note (
    n INTEGER PRIMARY KEY,          -- of the journal's entry
    terminal TEXT NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX terminal_note_terminal ON terminal_note (terminal, n);

-- Commands from the closed list that change nothing at a terminal.
CREATE TABLE command (
    n INTEGER PRIMARY KEY,          -- of the journal's entry
    terminal TEXT NOT NULL,
    kind TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,            -- asked | sent | done | refused | expired
    sent_at INTEGER NOT NULL,       -- 0 for never
    done_at INTEGER NOT NULL,       -- 0 for never
    body BLOB NOT NULL              -- msgpack map: number, arguments, outcome
);
CREATE INDEX command_terminal ON command (terminal, n);
CREATE INDEX command_open ON command (terminal) WHERE state IN ('asked', 'sent');

-- Where the timeline of one terminal looks: the acts that concern it, and its alarms, also those that are over.
CREATE INDEX journal_of_terminal ON journal (terminal, at) WHERE kind = 5 AND payload IS NULL AND terminal <> '';
-- Of the acts that concern no single terminal those about windows (its first columns make it the one that is chosen): the word `window` stands in their facts, and all else is far more.
CREATE INDEX journal_windows ON journal (kind, terminal, at) WHERE kind = 5 AND payload IS NULL AND terminal = '' AND instr(facts, x'77696e646f77') > 0;
CREATE INDEX alarm_of_terminal ON alarm (terminal, raised_at);
