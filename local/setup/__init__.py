"""What ``make`` needs before it can run anything, and how it runs the tests."""
