"""The supervisor and the set-up: that they bring everything up, and that they leave nothing behind."""
