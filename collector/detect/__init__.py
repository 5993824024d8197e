"""Detectors: pure step(state, at, readings)."""
