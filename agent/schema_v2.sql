-- Version 2: what a spool that went back in time is known by, and the age of a batch without any clock.

-- offered: batches below this seq may have left this file for the collector, no others. Of an older file all may have.
ALTER TABLE epochs ADD COLUMN offered INTEGER NOT NULL DEFAULT 1;
UPDATE epochs SET offered = next_seq;

-- why: why this epoch began; empty for the first.
ALTER TABLE epochs ADD COLUMN why TEXT NOT NULL DEFAULT '';

-- ran: ms that agents had run over this file when the batch was stored. It goes on while an agent runs, whatever the clock does.
ALTER TABLE sealed ADD COLUMN ran INTEGER NOT NULL DEFAULT 0;

-- One row. boot: of the last write; ended: 1 after a clean stop, 0 while an agent runs or after it was killed.
CREATE TABLE run (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    boot  BLOB    NOT NULL,
    ran   INTEGER NOT NULL,
    ended INTEGER NOT NULL
) STRICT;
INSERT INTO run VALUES (1, x'', 0, 1);
