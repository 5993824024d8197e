"""The watchdog: a process of its own that sends a synthetic fault down the whole path and complains when it does not arrive."""
