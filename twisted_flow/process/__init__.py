"""The process that serves: its signals, its memory, its service manager, and a watch over its loop."""
