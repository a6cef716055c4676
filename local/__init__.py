"""The one-machine stack: everything that Azure and a cluster would give, for development and tests."""
