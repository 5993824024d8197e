"""Who may look at the fleet and act on it: accounts, roles, sessions and tokens. Their secrets stand in a file of their own, never in the journal."""
