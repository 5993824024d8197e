"""Which ticket system an incident goes to, and through what people are called: a table of the site decides, and says why."""
