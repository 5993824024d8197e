"""How sealed messages reach the collector."""
