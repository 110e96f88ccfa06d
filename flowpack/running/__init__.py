"""Starts on this machine what was built, waits until it is healthy, scores it, and stops it whatever happens."""
