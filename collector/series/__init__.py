"""Series for analysts: what terminals read, written on from the journal to a time-series store. The journal stays the record; a sink is a copy that can be made again."""
