"""The collector's state from one engine into the other, whole and proven: into PostgreSQL when one machine no longer does, and back into a file."""
