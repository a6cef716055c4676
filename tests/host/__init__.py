"""Tests of the local Functions host and its durable engine."""
