-- Version 3: the commands that were taken, each written down before anything was done for it.

-- number: of the command, rising; ran: as of `sealed`, when it was taken; outcome: empty while it is carried out, so that an agent which was
-- killed meanwhile knows it; until: UTC ns by the collector's clock, to which a raised sampling lasts, 0 for all else; factor: of that.
CREATE TABLE command (
    number  INTEGER PRIMARY KEY,
    kind    TEXT    NOT NULL,
    ran     INTEGER NOT NULL,
    outcome TEXT    NOT NULL,
    until   INTEGER NOT NULL,
    factor  INTEGER NOT NULL
) STRICT;
