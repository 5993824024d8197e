-- Version 6: what the predictions say. All of it is a fold over the journal's FINDING entries.

-- Every episode of a finding, those that are over too: what a detector is worth is counted from them.
CREATE TABLE finding (
    id TEXT PRIMARY KEY,
    terminal TEXT NOT NULL,
    component TEXT NOT NULL,
    detector TEXT NOT NULL,
    family TEXT NOT NULL,           -- wear | runout | trend | anomaly | failure
    status TEXT NOT NULL,           -- open | over
    begun INTEGER NOT NULL,
    at INTEGER NOT NULL,            -- when it was looked at last
    ended INTEGER NOT NULL,         -- 0 while open
    demoted INTEGER NOT NULL,       -- its detector is below the floor: it raises nothing
    outcome TEXT NOT NULL,          -- hit | false | prevented | unknown, empty while nobody knows
    body BLOB NOT NULL              -- msgpack map: Finding.facts()
) WITHOUT ROWID;
CREATE INDEX finding_terminal ON finding (terminal, begun);
CREATE INDEX finding_open ON finding (terminal) WHERE status = 'open';

CREATE TABLE risk (
    terminal TEXT PRIMARY KEY,
    grade TEXT NOT NULL,            -- low | medium | high
    score REAL NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL              -- msgpack map: Grade.facts()
) WITHOUT ROWID;
CREATE INDEX risk_score ON risk (score);

-- How often a detector was right on parts of a kind.
CREATE TABLE hit_rate (
    detector TEXT NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,             -- msgpack map of Record
    PRIMARY KEY (detector, kind)
) WITHOUT ROWID;

-- One row: the entry up to which the predictions had read when they spoke last, the part of what they said there, and the findings
-- that were left out because their terminals had too many.
CREATE TABLE foretold (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL,
    part INTEGER NOT NULL,
    left_out INTEGER NOT NULL
);
