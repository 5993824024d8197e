"""Predictions: from readings to findings with evidence."""
