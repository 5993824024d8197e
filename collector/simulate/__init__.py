"""A bank that does not exist, for a year that never was: what breaks in it is known, so what the collector says of it can be judged."""
