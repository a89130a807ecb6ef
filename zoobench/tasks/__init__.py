"""What is measured, a file a task: what it asks of a method, what it reports, how it is scored."""
