"""Configuration bundles on their way to the fleet: rings of terminals, one after the other, and what each terminal says of what it was told to run."""
