"""The durable outbox and one connector a file."""
