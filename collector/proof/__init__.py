"""The record proved: bundles, the walk over the log, the audit, and everything made again from it."""
