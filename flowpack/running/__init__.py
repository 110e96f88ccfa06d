"""Starts a build on this machine, waits until it is healthy, scores it, and always stops it."""
