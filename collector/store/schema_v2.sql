-- The log in segments, and the door for operators beside the running collector.

-- What operators did at the command line while the collector runs: it journals each one and deletes it in the same transaction.
CREATE TABLE operator_request (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used twice: who asked waits until his is gone
    facts BLOB NOT NULL                     -- msgpack map: those of the Operator entry
);

-- The chain of the journal, many entries a row, without payloads: these rows stay when payloads are retired. Every entry up to the last
-- page is in one; a row of `journal` with payload is deleted once it is in a page and its payload in a segment.
CREATE TABLE page (
    last_n INTEGER PRIMARY KEY,
    first_n INTEGER NOT NULL,
    digest BLOB NOT NULL,           -- of the last entry; the digests between are computed anew
    data BLOB NOT NULL,             -- zstd: at, kind, terminal and facts of each entry (pages.py)
    digests BLOB NOT NULL           -- payload digests, 32 bytes an entry: they do not compress
);

-- Sealed frames of one terminal and kind, uncompressed inside and packed together. The columns stand in the order in which they are
-- needed: histories read the first one only. All three are NULL once retired.
CREATE TABLE segment (
    id INTEGER PRIMARY KEY,
    terminal TEXT NOT NULL,
    kind INTEGER NOT NULL,
    first_n INTEGER NOT NULL,
    last_n INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    epoch BLOB,                     -- batches: all are of one epoch, from seq0 to seq1
    seq0 INTEGER,
    seq1 INTEGER,
    t0 INTEGER,                     -- batches: corrected reading times, UTC ms, oldest and newest
    t1 INTEGER,
    received INTEGER NOT NULL,      -- of the last entry, UTC ns
    retired_n INTEGER,              -- the Operator entry that says so
    bodies BLOB,
    heads BLOB,
    signatures BLOB
);
CREATE INDEX segment_span ON segment (terminal, kind, t1, t0) WHERE retired_n IS NULL;
CREATE UNIQUE INDEX segment_place ON segment (terminal, kind, last_n);
CREATE INDEX segment_stream ON segment (terminal, epoch, seq1) WHERE epoch IS NOT NULL AND retired_n IS NULL;
CREATE INDEX segment_age ON segment (received) WHERE retired_n IS NULL;

-- What of the journal still carries its payload, by terminal: what compaction takes, and where histories find the newest readings.
DROP INDEX journal_span;
CREATE INDEX journal_kept ON journal (terminal, kind, n, t0, t1) WHERE payload IS NOT NULL;
CREATE INDEX journal_acts ON journal (kind, n) WHERE payload IS NULL;
