"""A terminal that takes bundles, with its broker and a collector that gives them."""

from tests.agent.conftest import _until, _wire_error, broker, collector, terminal

__all__ = ["_until", "_wire_error", "broker", "collector", "terminal"]
