"""Benchmarks: each prints its figures as a table and as JSON, and fails on nothing but a wrong answer."""
