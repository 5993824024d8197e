"""Listeners of the collector that are open to other machines: terminals that enrol, ticket systems that call, alerts of other systems."""
