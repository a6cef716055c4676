"""The rules of the product as pure functions over values: no I/O, the standard library only."""
