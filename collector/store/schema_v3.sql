-- Who has taken an alarm on: 0 and empty while nobody has.
ALTER TABLE alarm ADD COLUMN acked_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarm ADD COLUMN acked_by TEXT NOT NULL DEFAULT '';
ALTER TABLE alarm ADD COLUMN ack_until INTEGER NOT NULL DEFAULT 0;
