"""Tripwires between the Functions host and all it talks to, for tests that ask what a failure at one point does."""
