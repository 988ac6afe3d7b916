"""TLS by grpcio's own means, from the files that the lane's is made of."""

from __future__ import annotations

import pathlib
from typing import Any

import grpc

from ...security.tls import ServerTLS

__all__ = ["library_credentials"]


def library_credentials(tls: ServerTLS | None) -> Any:
    """The credentials of grpcio's server, which are those of *tls* for each connection that begins; None: none."""
    if tls is None:
        return None
    used: object = None

    def renewed() -> Any:
        """Called by grpcio, in a thread of its own, before each handshake."""
        nonlocal used
        if used is tls.said:
            return None
        used = tls.said  # which has been read without fault
        return _configuration(tls)

    first = tls.said
    credentials = grpc.dynamic_ssl_server_credentials(_configuration(tls), renewed, bool(tls.files.client_ca))
    used = first
    return credentials


def _configuration(tls: ServerTLS) -> Any:
    files = tls.files
    pair = pathlib.Path(files.key).read_bytes(), pathlib.Path(files.cert).read_bytes()
    authorities = pathlib.Path(files.client_ca).read_bytes() if files.client_ca else None
    return grpc.ssl_server_certificate_configuration([pair], authorities)
