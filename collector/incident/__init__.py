"""Incidents: which alarms have one cause, what becomes of them until they are closed, and what is told of them."""
