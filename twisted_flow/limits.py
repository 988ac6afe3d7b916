"""What is bounded, and where the bounds are unless told otherwise."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from .errors import ConfigurationError

__all__ = ["LONGEST_NAME", "MAX_DEPTH", "SHORTEST_TIMEOUT", "Limits", "checked"]

SHORTEST_TIMEOUT = 0.01
"""Seconds: a request that asks for fewer could not be answered in time, however fast."""

LONGEST_NAME = 1024
"""Characters of an id, an endpoint, a target."""

Bytes = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Pings = Annotated[float, Meta(ge=1)]  # Autobahn's timer is no finer
Delay = Annotated[float, Meta(ge=0)]


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bounds of one flow. Each field is an option of ``twistd flow`` too (``max_body`` is ``--max-body``)."""

    max_body: Annotated[Bytes, "bytes of a request body, a message or a frame"] = 64 * 2**20
    max_request_line: Annotated[Bytes, "bytes of an HTTP request line"] = 16 * 2**10
    max_headers_size: Annotated[Bytes, "bytes of all HTTP header fields of a request"] = 64 * 2**10
    max_headers: Annotated[Count, "HTTP header fields of a request"] = 100
    max_connections: Annotated[Count, "open connections of a gateway"] = 10_000
    max_pipeline: Annotated[Count, "HTTP requests in flight on a connection; beyond that, reading pauses"] = 16
    header_timeout: Annotated[Seconds, "seconds for the head of a request to arrive"] = 10
    body_timeout: Annotated[Seconds, "seconds without a byte of a request's body before 408"] = 30
    idle_timeout: Annotated[Seconds, "seconds that an idle connection stays open"] = 75
    half_close_grace: Annotated[
        Seconds, "seconds to finish answering after the client has closed its half of the connection"
    ] = 2
    write_timeout: Annotated[Seconds, "seconds that a client may read nothing of its answer"] = 60
    max_in_flight: Annotated[Count, "requests in flight on a WebSocket or gRPC stream; then reading pauses"] = 128
    max_in_flight_size: Annotated[
        Bytes, "bytes of those requests, or of their answers; large ones reduce their number"
    ] = 64 * 2**20
    max_calls: Annotated[Count, "gRPC calls in progress on a connection; further ones wait at the client"] = 1024
    max_buffered: Annotated[
        Bytes, "bytes received over all connections and not answered yet; beyond that, QueueFull"
    ] = 2**30
    max_steps: Annotated[Count, "heads, frames or chunks of one connection in one turn of the event loop"] = 64
    health_interval: Annotated[Seconds, "seconds between health checks"] = 10
    health_timeout: Annotated[Seconds, "seconds for an executor to answer a health check"] = 5
    stuck_after: Annotated[Seconds | None, "seconds after which a running call makes its executor unhealthy"] = None
    ping_interval: Annotated[Pings, "seconds between pings on a WebSocket"] = 20
    ping_timeout: Annotated[Pings, "seconds to answer a ping"] = 20
    start_timeout: Annotated[Seconds | None, "seconds for an executor's own process to start and make it"] = None
    kill_after: Annotated[
        Delay, "seconds after its deadline that a call has to end before its executor's own process is killed"
    ] = 30
    timeout: Annotated[Seconds | None, "seconds for a request that does not set its own timeout"] = None
    first_part_timeout: Annotated[Seconds | None, "seconds to the first part of an answer that comes in parts"] = None
    part_timeout: Annotated[Seconds | None, "seconds from one such part to the next, while the client reads"] = None
    max_streams: Annotated[Count, "answers in parts under way at once; beyond that, QueueFull"] = 1024
    max_queue: Annotated[Count, "requests queued for one executor; beyond that, QueueFull"] = 1024
    drain_delay: Annotated[Delay, "seconds between the signal to stop and the end of listening"] = 0
    drain_grace: Annotated[
        Delay, "seconds for requests in flight to finish when the server stops, and then for each executor to close"
    ] = 30
    max_documents: Annotated[Count, "documents in a request, including nested ones"] = 100_000
    max_values: Annotated[
        Count, "lists and objects in one document, and in the rest of a request; four times as many JSON values"
    ] = 262_144
    max_expanded: Annotated[Count, "numbers and lists in an answer whose arrays are written as lists"] = 16_777_216
    max_depth: Annotated[Count, "levels of nested documents, and of nested tags"] = 32


MAX_DEPTH = Limits().max_depth
"""Levels of nested documents, and of nested tags, unless told otherwise."""


def checked(limits: Limits) -> Limits:
    """*limits*, if each is within its own bounds.

    :raises ConfigurationError: where one is not.
    """
    try:
        return msgspec.convert(msgspec.to_builtins(limits), Limits)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"limits: {error}") from None
