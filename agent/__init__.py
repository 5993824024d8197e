"""The agent reads a terminal's hardware, seals what it read and keeps it until the collector says *stored*."""
