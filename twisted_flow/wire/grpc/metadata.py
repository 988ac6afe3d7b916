"""Metadata of gRPC that our servers and our clients know."""

from __future__ import annotations

__all__ = ["OURS", "PEER", "PRINCIPAL", "RESERVED", "SERVER"]

SERVER, OURS = "x-server", "twisted_flow"
"""Which server it is: one that knows how to cancel a request of a stream. (``server`` is the proxies' own.)"""
RESERVED = "twisted-flow-"
"""What metadata begin with that a flow adds to calls of a user's services; those of callers that do are left out."""
PEER = "twisted-flow-peer"
"""Who has called: 'ipv4:127.0.0.1:1234', as ``context.peer()`` would say, which names the flow itself there."""
PRINCIPAL = "twisted-flow-principal"
"""The name of who has called, where the flow finds that out."""
