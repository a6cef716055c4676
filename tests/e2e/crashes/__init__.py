"""What is left when something dies or fails in the middle: the host, a call, a caller."""
