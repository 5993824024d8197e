"""Detectors, one family a file. Each is a pure step(state, at, value) -> state; what it has to say stands in the state's level."""
