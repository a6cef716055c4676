"""Durable orchestrators: deterministic generators over the pure rules; one per file."""
