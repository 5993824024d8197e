"""How odd devices speak: one protocol, one file, a table of read-only requests."""
