"""The collector's state in PostgreSQL: the same schema, the same statements, one writer."""
