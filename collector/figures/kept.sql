-- What the console keeps of the figures of one period and one part of the fleet: computed once from the log, asked often. Lengths in ns, times UTC ns.
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- One row a scope. down and the other three: by the definition `network`; body: zlib of the JSON that the report has of it.
CREATE TABLE figure (
    kind TEXT NOT NULL, name TEXT NOT NULL,
    branch TEXT NOT NULL, region TEXT NOT NULL, class TEXT NOT NULL, vendor TEXT NOT NULL,  -- of a terminal; of a branch its region
    terminals INTEGER NOT NULL, over INTEGER NOT NULL,
    scheduled INTEGER NOT NULL, up INTEGER NOT NULL, down INTEGER NOT NULL, planned INTEGER NOT NULL, unmonitored INTEGER NOT NULL,
    any_down INTEGER NOT NULL, full_down INTEGER NOT NULL,
    impact REAL, incidents INTEGER NOT NULL, open INTEGER NOT NULL,
    restore_total INTEGER NOT NULL, restore_n INTEGER NOT NULL, alarms INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;

-- What is not plainly up, and what late readings or a person decided.
CREATE TABLE stretch (
    id INTEGER PRIMARY KEY,
    terminal TEXT NOT NULL, branch TEXT NOT NULL, region TEXT NOT NULL, class TEXT NOT NULL, vendor TEXT NOT NULL,
    since INTEGER NOT NULL, until INTEGER NOT NULL,
    network TEXT NOT NULL, any_ TEXT NOT NULL, full_ TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, party TEXT NOT NULL, cause TEXT NOT NULL, lost TEXT NOT NULL, source TEXT NOT NULL,
    known_at INTEGER NOT NULL, entry INTEGER NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL
);
CREATE INDEX stretch_terminal ON stretch (terminal, since);

-- Incidents opened in the period, judged. 1, 0, or NULL where it cannot be told.
CREATE TABLE incident (
    id TEXT PRIMARY KEY, terminal TEXT NOT NULL, component TEXT NOT NULL,
    branch TEXT NOT NULL, region TEXT NOT NULL, class TEXT NOT NULL, vendor TEXT NOT NULL,
    level INTEGER NOT NULL, fault TEXT NOT NULL, drill INTEGER NOT NULL, told INTEGER NOT NULL, state TEXT NOT NULL, verdict TEXT NOT NULL,
    failed INTEGER NOT NULL, opened INTEGER NOT NULL, responded INTEGER NOT NULL, restored INTEGER NOT NULL, resolved INTEGER NOT NULL,
    response INTEGER, restored_net INTEGER, restored_gross INTEGER, resolved_net INTEGER, resolved_gross INTEGER,
    detect INTEGER, respond INTEGER, travel INTEGER, repair INTEGER, verify INTEGER,
    first_fix_7 INTEGER, first_fix_30 INTEGER, repeated INTEGER, reopened INTEGER, duplicates INTEGER
) WITHOUT ROWID;

-- Supplies that ended, and rooms that were full: episodes of their alarms. until: 0 while it lasts.
CREATE TABLE supply (
    terminal TEXT NOT NULL, component TEXT NOT NULL,
    branch TEXT NOT NULL, region TEXT NOT NULL, class TEXT NOT NULL, vendor TEXT NOT NULL,
    rule TEXT NOT NULL, party TEXT NOT NULL, level INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL
);
