"""The agent as a Windows service: service control, event log, protection of the keys, installation. Nothing here is imported by the agent of another
system, and everything reaches Windows through `interfaces.Api`, so that it can be tried against stand-ins.

Not yet run on Windows: written from Microsoft's documentation and tested with stand-ins of the interfaces.
"""
