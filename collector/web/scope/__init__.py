"""The store as one visitor may see it."""
