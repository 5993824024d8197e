"""Remote diagnosis on the terminal: what it takes from the collector, whether, how often, and what it does then. Loaded only where the operator has
switched it on.
"""
