-- The console's own file beside the store: what must not stand in the journal (secrets), and what is nobody's record (sessions, preferences).

CREATE TABLE person (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    role TEXT NOT NULL,
    scope BLOB NOT NULL,            -- msgpack map: regions, branches
    state TEXT NOT NULL,            -- active | disabled
    password TEXT NOT NULL,         -- argon2id in PHC form, empty where an identity provider vouches
    must_change INTEGER NOT NULL,
    totp BLOB NOT NULL,             -- msgpack map: secret, step used last, hashes of the recovery codes; empty for none
    settings BLOB NOT NULL,         -- msgpack map: language, zone and others
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE session (
    id BLOB PRIMARY KEY,            -- SHA-256 of what the cookie holds
    person TEXT NOT NULL,
    csrf BLOB NOT NULL,
    begun_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    origin TEXT NOT NULL,           -- address and browser, for the person to know it again
    step TEXT NOT NULL              -- empty once signed in; totp while the second factor is awaited
) WITHOUT ROWID;
CREATE INDEX session_person ON session (person);

CREATE TABLE token (
    id BLOB PRIMARY KEY,            -- SHA-256 of the token
    name TEXT NOT NULL,
    person TEXT NOT NULL,
    role TEXT NOT NULL,
    scope BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX token_person ON token (person);

CREATE TABLE preference (
    person TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,            -- JSON
    PRIMARY KEY (person, key)
) WITHOUT ROWID;

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
