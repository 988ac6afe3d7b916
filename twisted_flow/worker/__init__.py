"""The program of an executor's own process, and the messages between it and the server. Nothing here loads Twisted."""
