"""Tasks, one per file: what each asks of a method, what it reports, and how it is scored."""
