"""Each figure of the README comes from a script here: medians of whole processes, against a peer in the same run."""
