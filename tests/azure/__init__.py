"""The ARM emulator: its rules as tables, and the whole of it over HTTP."""
