"""What triggers, orchestrators and activities share: the rules (domain) and the only I/O (clients)."""
