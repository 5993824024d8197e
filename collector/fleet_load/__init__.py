"""Terminals that do not exist, in any number, as a real collector meets them: real keys, real signatures, the protocol of the wire. For load, soak and
failover tests of an installation. Of the agent it knows what the collector knows: its model and its wire.
"""
