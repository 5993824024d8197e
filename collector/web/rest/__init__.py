"""REST API: what may be asked and done, with the shapes of the answers; one module a subject, and what they have in common."""
