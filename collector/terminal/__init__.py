"""Terminals: what is known of each, whether it is heard, why not, and its one state in the log."""
