"""The commands. Each is a function of a session and its arguments; ``elb.arguments`` has the words of them all."""
