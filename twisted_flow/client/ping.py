"""Asking a server whether it is ready, for the health check of a container: `twistd flow --ping=URL`."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from ..listen.hostport import is_loopback

__all__ = ["ping"]

_PATIENCE = 5.0  # seconds
_PORTS = {"http": 80, "ws": 80, "grpc": 80, "https": 443, "wss": 443, "grpcs": 443}


def ping(url: str, cert: str | None = None, key: str | None = None) -> str:
    """Ask the server at *url*, such as 'http://127.0.0.1:12345', by ``/readyz``, or by the path that *url* has; over
    gRPC alone (a scheme of 'grpc' or 'grpcs' whose port speaks nothing else) by its health service.

    :param cert: a certificate to show, for a server that asks for one.
    :param key: its key.
    :return: '' if it is ready; else one line that says why not.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in _PORTS or not parts.hostname:
        return f"{url}: a URL is like http://127.0.0.1:12345"
    try:
        status, said = _asked(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], parts.path, cert, key)
    except http.client.BadStatusLine:
        if parts.scheme in ("grpc", "grpcs"):  # grpcio's own server
            return _asked_by_grpc(f"{parts.hostname}:{parts.port}", parts.scheme)
        return f"{url}: no HTTP is spoken there"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{url}: {error}"
    return "" if status == 200 else f"{url}: {status} {said}"


def _asked(scheme: str, host: str, port: int, path: str, cert: str | None, key: str | None) -> tuple[int, str]:
    if _PORTS[scheme] == 443:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=_PATIENCE, context=_context(host, cert, key)
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        connection.request("GET", path if path not in ("", "/") else "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read(1000).decode("utf-8", "replace")
    finally:
        connection.close()


def _context(host: str, cert: str | None, key: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if is_loopback(host):  # whose certificate has another name
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        context.load_cert_chain(cert, key)
    return context


def _asked_by_grpc(address: str, scheme: str) -> str:
    import grpc

    if scheme == "grpcs":
        return f"{address}: ask it over https at a port that serves HTTP too"
    with grpc.insecure_channel(address) as channel:
        try:
            status = channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=_PATIENCE)
        except grpc.RpcError as error:
            return f"{address}: {error.code().name} {error.details()}"
    return "" if status == b"\x08\x01" else f"{address}: not serving"
