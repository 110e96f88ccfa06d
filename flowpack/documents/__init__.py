"""Documents that somebody else wrote, YAML and JSON: read within limits, with the place of each value."""
