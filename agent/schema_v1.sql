-- The agent's spool, version 1. Times are UTC ns. One row of `epochs` for the epoch that is sealed into (the newest) and for every
-- former one of which batches still wait to be sealed again.
CREATE TABLE epochs (
    gen      INTEGER PRIMARY KEY,
    epoch    BLOB    NOT NULL,
    terminal TEXT    NOT NULL,
    public   BLOB    NOT NULL,
    next_seq INTEGER NOT NULL,
    acked    INTEGER NOT NULL,
    tail     BLOB    NOT NULL,
    lost     INTEGER NOT NULL,
    lives    INTEGER NOT NULL
) STRICT;

-- id gives the order over epochs: the oldest is dropped first.
CREATE TABLE sealed (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    gen   INTEGER NOT NULL REFERENCES epochs (gen),
    seq   INTEGER NOT NULL,
    n     INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    bytes BLOB    NOT NULL,
    UNIQUE (gen, seq)
) STRICT;

CREATE TABLE parked (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch  BLOB    NOT NULL,
    seq    INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    reason TEXT    NOT NULL,
    bytes  BLOB    NOT NULL
) STRICT;
