"""Each figure of docs/reference/benchmarks.md comes from a script here: medians of whole processes, beside a peer."""
