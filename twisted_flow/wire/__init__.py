"""Bytes as protocols frame them; no sockets."""
