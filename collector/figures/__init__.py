"""Availability, figures of service and of alarm load, computed from the log of a period and so again for any period, and the report of them."""
