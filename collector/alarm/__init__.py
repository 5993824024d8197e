"""Alarms: the table of rules, the state of each condition, what keeps it from being told, and the cards that say what to do."""
