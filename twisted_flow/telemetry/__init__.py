"""What the log is told, and how: texts made printable, tracebacks, and Python's own ``logging``."""
