-- Version 8: what terminals are to run beside their own configuration, and who may become one by its serial number. All of it is a fold over the journal.

-- Configuration bundles as they were published. None is ever changed or removed: what a terminal ran then can be shown.
CREATE TABLE config_bundle (
    n INTEGER PRIMARY KEY,          -- of the journal's entry: the bundle's number
    name TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL,           -- SHA-256 of the content
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    content BLOB NOT NULL,          -- compressed, as terminals get it
    body BLOB NOT NULL              -- msgpack map: files with their sizes
);

-- Each bringing of one bundle to rings of terminals, or of the terminals' own configuration alone.
CREATE TABLE rollout (
    n INTEGER PRIMARY KEY,          -- of the journal's entry
    bundle INTEGER NOT NULL,        -- config_bundle.n, 0 for none: terminals run what they have themselves
    state TEXT NOT NULL,            -- running | halted | done | returned
    at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,      -- 0 while running
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    body BLOB NOT NULL              -- msgpack map: rings, gate, which ring since when, what happened to it
);
CREATE INDEX rollout_running ON rollout (n) WHERE state = 'running';

-- The ring of each terminal, what it is to run, and what it says of that.
CREATE TABLE terminal_ring (
    terminal TEXT PRIMARY KEY,
    ring TEXT NOT NULL,             -- '' while no rollout has placed it
    fixed INTEGER NOT NULL,         -- a person or a list placed it there: shares leave it
    bundle INTEGER NOT NULL,        -- config_bundle.n that it is to run, 0 for none
    number INTEGER NOT NULL,        -- what it is told under, which rises; 0 while it was never told anything
    state TEXT NOT NULL,            -- '' | waiting | none | trying | good | fallen-back | refused | off
    at INTEGER NOT NULL,            -- since when it is in this state
    body BLOB NOT NULL              -- msgpack list: what it runs by its own word, why it fell back, sources that failed since
) WITHOUT ROWID;
CREATE INDEX terminal_ring_ring ON terminal_ring (ring);

-- Machines that may become a terminal by the serial number of their hardware. A serial is no secret: it only says which of the expected ones asks.
CREATE TABLE expected_terminal (
    serial TEXT PRIMARY KEY,        -- as the machine tells it
    terminal TEXT NOT NULL,
    branch TEXT NOT NULL,
    region TEXT NOT NULL,
    class TEXT NOT NULL,
    ring TEXT NOT NULL,             -- '' for the one that shares give it
    state TEXT NOT NULL,            -- expected | claimed | disputed
    at INTEGER NOT NULL,            -- since when it is in this state
    by TEXT NOT NULL,               -- who put it on the list
    body BLOB NOT NULL              -- msgpack map: the list, who claimed it from where
) WITHOUT ROWID;
CREATE INDEX expected_terminal_terminal ON expected_terminal (terminal);

-- Permissions to enrol that are for many: batches of one-time tokens, and tokens that lie in an image.
CREATE TABLE enrol_grant (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,             -- batch | image
    at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    count INTEGER NOT NULL,         -- terminals that it is for, at most
    used INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL,    -- 0 for never
    by TEXT NOT NULL,
    body BLOB NOT NULL              -- msgpack map: list, its digest, of an image the digest of its secret and when it begins
) WITHOUT ROWID;

-- Machines that asked to be enrolled by their serial number and were refused, until a person has looked.
CREATE TABLE refused_claim (
    serial TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL              -- msgpack map: image, address, terminal
) WITHOUT ROWID;

-- Tokens of a batch, and the ring that a terminal is placed in with its enrolment. Not part of the fold, as the table itself.
ALTER TABLE token ADD COLUMN batch TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN ring TEXT NOT NULL DEFAULT '';
CREATE INDEX token_batch ON token (batch) WHERE batch <> '';
