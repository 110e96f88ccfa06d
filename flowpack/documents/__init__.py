"""Reads untrusted YAML and JSON within limits, with the location of each value."""
