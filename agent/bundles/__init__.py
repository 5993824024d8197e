"""Configuration bundles on the terminal: taken, checked, tried, kept, or undone. Imported only where the operator lets them in."""
