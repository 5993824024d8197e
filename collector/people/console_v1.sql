-- The console's own file beside the store: what must not stand in the journal (secrets), and what is nobody's record (sessions, preferences).
-- What people did here becomes record all the same: it waits in `unsaid` until it is left for the collector to journal.

CREATE TABLE person (
    name TEXT PRIMARY KEY,          -- as it is signed in with, in lower case
    full_name TEXT NOT NULL,
    role TEXT NOT NULL,
    scope BLOB NOT NULL,            -- msgpack map: regions, branches
    state TEXT NOT NULL,            -- active | disabled
    password TEXT NOT NULL,         -- argon2id in PHC form, empty where an identity provider vouches or nobody set one yet
    must_change INTEGER NOT NULL,
    factor BLOB NOT NULL,           -- msgpack map: secret, step used last, hashes of the recovery codes; empty for none
    subject TEXT NOT NULL,          -- issuer and subject at the identity provider; empty for none
    board INTEGER NOT NULL,         -- a wall-board: its session lasts, and it only looks
    settings BLOB NOT NULL,         -- msgpack map: language, zone, theme
    freed_at INTEGER NOT NULL,      -- wrong passwords before that count no more
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX person_subject ON person (subject) WHERE subject <> '';

CREATE TABLE session (
    id BLOB PRIMARY KEY,            -- SHA-256 of what the cookie holds
    person TEXT NOT NULL,
    csrf TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    idle INTEGER NOT NULL,          -- ns without a sign of life; 0 for as long as it lasts
    origin TEXT NOT NULL,           -- address and browser, for the person to know it again
    way TEXT NOT NULL,              -- password | oidc | invitation, and what else was asked
    step TEXT NOT NULL              -- empty once signed in, else what is still asked: totp, password, enrol
) WITHOUT ROWID;
CREATE INDEX session_person ON session (person);

-- Browsers that somebody has signed in with: their wrong passwords are counted by themselves.
CREATE TABLE device (
    id BLOB PRIMARY KEY,            -- SHA-256 of what the cookie holds
    person TEXT NOT NULL,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX device_person ON device (person);

CREATE TABLE invitation (
    id BLOB PRIMARY KEY,            -- SHA-256 of what the link holds
    person TEXT NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE token (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,        -- SHA-256 of the token
    name TEXT NOT NULL,
    person TEXT NOT NULL,
    role TEXT NOT NULL,
    scope BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
);
CREATE INDEX token_person ON token (person);

CREATE TABLE preference (
    person TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,            -- JSON
    PRIMARY KEY (person, key)
) WITHOUT ROWID;

CREATE TABLE unsaid (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    facts BLOB NOT NULL             -- msgpack map: the facts of an Operator entry
);

-- Answers to acts by their Idempotency-Key: who asks again after a broken connection gets the same one, and nothing is done twice.
CREATE TABLE request_done (
    person TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    status INTEGER NOT NULL,        -- 0 while it is under way
    answer BLOB NOT NULL,
    PRIMARY KEY (person, key)
) WITHOUT ROWID;
CREATE INDEX request_done_at ON request_done (at);
