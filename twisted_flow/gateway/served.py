"""The arguments that every gateway is made with."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime

from ..answer import Answer
from ..interfaces import IDescribed, IDispatcher, IGateway, IListenAddress
from ..limits import Limits
from ..readiness import Readiness
from ..record import Record
from ..security.guard import Guard
from ..telemetry.numbers import Numbers, RequestNumbers
from .buffered import Buffered
from .grpc.added import Added
from .http.routes import HTTPSettings

__all__ = ["Served"]


class Served(Struct, frozen=True, kw_only=True):
    """What a gateway serves, where, and with which settings: see `IGatewayMaker`."""

    dispatcher: IDispatcher
    """The flow."""
    address: IListenAddress
    """Where to listen."""
    limits: Limits
    buffered: Buffered
    """Counts what has come in, of all gateways of the flow."""
    engines: tuple[IDescribed, ...] = ()
    """Whose health is told."""
    record: Record = Record(RequestNumbers(Numbers()))
    """Is told of each request; a gateway has it `over` its protocol."""
    metrics: Callable[[str], Answer] | None = None
    """What answers ``/metrics``, from the Accept field; None: there is no such route."""
    readiness: Readiness = Readiness()
    """Whether the flow can answer."""
    guard: Guard | None = None
    """Finds out who asks; None: anybody may."""
    added: Added = Added()
    """The services that a user has added to gRPC's."""
    http: HTTPSettings = HTTPSettings()
    debug: bool = False
    """Whether callers are told all that is known of a failure."""
    clock: IReactorTime | None = None
    """Hands out time; None: the reactor does."""
    beside: IGateway | None = None
    """The gateway that listens at the same address already, where several protocols share it."""
