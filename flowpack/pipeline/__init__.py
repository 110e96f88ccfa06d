"""One story per command, read from top to bottom. A command loads its own; the rooms below load none."""
