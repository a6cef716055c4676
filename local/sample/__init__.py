"""Real sample data for the one-machine stack: a database of resistance genes and queries for it."""
