"""Tests of the product and of the one-machine stack; `python -m tests.behaviour` says which line each one proves."""
