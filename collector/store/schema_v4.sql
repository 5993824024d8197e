ALTER TABLE outbox ADD COLUMN drill INTEGER NOT NULL DEFAULT 0;     -- somebody injected the fault: another queue, another receiver
