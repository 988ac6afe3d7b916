"""Metadata of gRPC that our servers and our clients know."""

from __future__ import annotations

__all__ = ["OURS", "SERVER"]

SERVER, OURS = "x-server", "twisted_flow"
"""Which server it is: one that knows how to cancel a request of a stream. (``server`` is the proxies' own.)"""
