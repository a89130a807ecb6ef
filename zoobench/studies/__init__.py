"""Studies: YAML files that compare methods over compositions of zoos, and their reports."""
