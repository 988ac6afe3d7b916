"""All interfaces of the project, and their contracts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface

from .limits import Limits
from .maybe import MaybeDeferred
from .message import Request, Response
from .outcome import Outcome

__all__ = [
    "IChanging", "IChannel", "ICodec", "IDescribed", "IDirect", "IDispatcher", "IEngine", "IEngineMaker", "IExchange",
    "IExecutor", "IExecutorPlugin", "IGateway", "IGatewayMaker", "IListenAddress", "IStreamingChannel",
]  # fmt: skip


class IDispatcher(Interface):
    """Answers requests. Knows no protocol. Engines, policies, whole flows and channels all are dispatchers."""

    def dispatch(request: Request) -> MaybeDeferred[Outcome]:
        """Answer *request*.

        :param request: frozen; its documents are the answerer's to change, and its ``parts``, if there are any, the
            answerer's to pull to their end, or to cancel.
        :return: a `Response` if it is there at once; a `ResponseStream`, which is the caller's to pull to its end, or
            to cancel; or a Deferred of one of the two, which fails with a `FlowError` and nothing else (but for
            Twisted's ``CancelledError`` to who cancelled it). Cancelling it cancels the work.
        :raises FlowError: what else the Deferred would fail with.
        """


class IChanging(Interface):
    """Something whose lookups may be cached for a generation: until it starts or stops, its health changes, or it is
    exchanged.
    """

    def watch(forget: Callable[[], object]) -> Callable[[], object]:
        """Have *forget* called whenever a generation ends.

        :return: ends that.
        """


class IDirect(IChanging):
    """A dispatcher, or a policy around one, that can say how an endpoint is answered at once: so that several executors
    can answer in one go. Asked for by adaptation; what does not provide it switches the direct way off for its
    executor, and sees every request in `IDispatcher.dispatch`.
    """

    def direct(endpoint: str) -> Callable[..., object] | None:
        """How *endpoint* is answered, if that never takes waiting, and nothing but the method has to see the request.

        :return: takes a Request, and None in place of a Context, which it makes itself where one is asked for; it
            returns a coroutine that never suspends, of what the user's method returns or raises; None where there is
            no such. It holds for one generation. A policy that does something for each call does it around this.
        :raises Unavailable: if there is one, but the executor is not open.
        """


class IExecutor(Interface):
    """A user's executor, ready to be opened in the place where it will run."""

    name = Attribute("``str``: what `targetPeapod`, routes, logs and errors call it.")
    endpoints = Attribute("``Mapping[str, Endpoint]``: what each endpoint is; known before it is opened.")

    def open() -> Mapping[str, Callable[..., object]]:
        """Make the user's object, once, where its blocking methods will run.

        :return: for each endpoint how to call it: with a Request and a Context. (One whose `Endpoint` says that it
            never ``suspends`` returns a coroutine.)
        :raises Exception: whatever the user's constructor raises.
        """

    def warm_up() -> object:
        """Have the user's object make itself ready, right after it was made, and in the same thread or process.

        :return: None, or an awaitable that has to be awaited on the event loop.
        """

    def check_health() -> object:
        """Run the user's health check: raises, or returns an awaitable that fails, if the executor cannot work.

        :return: None, or an awaitable that has to be awaited on the event loop.
        """

    def close() -> object:
        """Close the user's object, if it was made.

        :return: None, or an awaitable that has to be awaited on the event loop.
        """


class IExecutorPlugin(IPlugin):
    """An executor that a package brings along: put one into a module of ``twisted.plugins``."""

    name = Attribute("``str``: what ``uses=`` and ``--uses`` call it.")
    executor = Attribute("What ``uses=`` takes: a class, or 'package.module:Class', which is imported when used.")
    description = Attribute("``str``: one line, for ``twistd flow --list``.")


class IEngine(IDispatcher):
    """An executor that runs: inline, in a thread, or elsewhere."""

    name = Attribute("``str``: the executor's name.")
    endpoints = Attribute("``Mapping[str, Endpoint]``: the executor's.")
    window = Attribute("``int``: how many calls it takes at once, now. More may be dispatched only by who bounds them.")
    health = Attribute(
        "``str``: 'new', 'starting', 'ready', 'unhealthy', 'restarting', 'failed', 'stopping' or 'stopped'."
    )

    def start() -> Deferred[None]:
        """Make the executor, and have it warm up.

        :return: fails with whatever the executor's constructor, or its warm-up, raised; then it has to be stopped.
        """

    def check(timeout: float, stuck_after: float | None) -> Deferred[None]:
        """Run the executor's health check where the executor runs, and update `health`.

        :param timeout: seconds in which it has to answer.
        :param stuck_after: seconds after which a call that still runs makes it unhealthy; None: none does.
        :return: never fails. One that is not started is not asked.
        """

    def stop() -> Deferred[None]:
        """Let the calls under way end, and close the executor. Stopping what is not started does nothing.

        :return: fails with whatever the executor's ``close`` raised.
        """


class IDescribed(Interface):
    """What ``/status`` tells of an executor. Asked for by adaptation: an engine need not provide it."""

    name = Attribute("``str``: the executor's name.")
    endpoints = Attribute("``Mapping[str, Endpoint]``: the executor's.")
    health = Attribute("``str``: see `IEngine`.")

    def describe() -> dict[str, object]:
        """What JSON can say of it now: 'engine' (its kind), 'health', 'under_way' and so on."""


class IEngineMaker(IPlugin):
    """What an engine is made by. A package that brings one along puts it into a module of ``twisted.plugins``."""

    name = Attribute("``str``: what ``engine=`` calls it.")

    def make(executor: IExecutor, spec: Any) -> IEngine:
        """An engine, which has not started.

        :param executor: ready to be opened, for engines that run it in this process.
        :param spec: the `ExecutorSpec` that it was made from, for those that have it made elsewhere.
        :raises ConfigurationError: if that executor cannot run there.
        """


class ICodec(Interface):
    """Turns bytes into requests and responses into bytes. Provided by modules; keeps nothing."""

    content_type = Attribute("``str``: the media type of what it encodes.")
    endpoint_at = Attribute("``str``: where in a body the endpoint stands, as errors point to it.")

    def decode_request(body: bytes, endpoint: str | None, limits: Limits, request_id: str = "") -> Request:
        """Read a request, in one go.

        :param body: all of it.
        :param endpoint: the endpoint, if the route where the request came in has one: it wins over the body's.
        :param limits: how many documents there may be, and how many levels of them, and of tags.
        :param request_id: the request's id, where the body names none; '': a new one.
        :raises BadRequest: if the bytes do not parse.
        :raises ValidationError: if they do, and make no sense; it names the field. A part needs no endpoint.
        :raises PayloadTooLarge: if there is more in it than may be.
        """

    def decode_in_steps(
        body: bytes, endpoint: str | None, limits: Limits, request_id: str = ""
    ) -> Generator[None, None, Request] | None:
        """The same for a *body* that would take long: others have their turn between the steps.

        :return: None where it is better read in one go.
        """

    def may_be_part(body: bytes) -> bool:
        """Whether others may follow *body*, with more documents of its request, which is not read, or cannot be."""

    def encode_response(response: Response, limits: Limits) -> bytes:
        """Write a response.

        :param response: with all its routes.
        :param limits: what its arrays may be when they are spelt as lists.
        :raises TypeError: if there is something in it that cannot travel (an object of the user's in tags, say).
        :raises PayloadTooLarge: if its arrays would be more.
        """

    def encode_request(request: Request) -> bytes:
        """Write a request. See `encode_response`."""

    def decode_response(body: bytes) -> Response:
        """Read a response.

        :raises BadRequest: if the bytes do not parse.
        """


class IExchange(Interface):
    """Some requests, sent one after another and answered in any order."""

    over = Attribute("``bool``: whether the connection has ended, so that nothing can be sent any more.")
    max_body = Attribute(
        "``int | None``: bytes of a request that the server takes, set by who knows. A larger one fails with "
        "`PayloadTooLarge`, in place of all that are under way on the connection."
    )

    def send(request: Request) -> Deferred[Response]:
        """Send *request*, whose id no other one under way has.

        :return: fires with the answer, whatever its status; fails with a `FlowError` where there is none, or whose
            ``response`` it is. Cancelling it cancels the request, at a server that knows how.
        """

    def end() -> None:
        """End the input. (Some servers answer only then.)"""


class IChannel(Interface):
    """A client's way to a server."""

    address = Attribute("``str``: 'host:port'.")
    most = Attribute("``int | None``: requests that it has under way at once, which may be changed; None: any number.")

    def exchange() -> Deferred[Any]:
        """Connect, if that is not done yet.

        :return: fires with an `IExchange`; fails with `Unavailable`.
        """

    def close() -> Deferred[None]:
        """End all connections."""


class IStreamingChannel(IChannel):
    """A way to a server that answers in parts."""

    def stream(request: Request) -> Deferred[Any]:
        """Send *request*, which may come in parts, over a connection of its own, paused while no part is pulled.

        :return: fires with a `ResponseStream` once it is sent; fails with `Unavailable`.
        """


class IListenAddress(Interface):
    """Somewhere to listen."""

    port = Attribute("``int``: the port's number; 0 where there is none.")
    address = Attribute("``str``: 'host:port', or what else tells where it is.")
    tls = Attribute("``ServerTLS | None``: of its connections.")

    def listen(factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen, once.

        :return: fires with an `IListeningPort`; fails as that could not be.
        """

    def close() -> None:
        """Release it. What listens has to be stopped first."""


class IGateway(IService):
    """Serves a dispatcher over one protocol. ``startService`` returns a Deferred too, and ``stopService`` drains."""

    protocol = Attribute("``str``: the protocol's name, such as 'http'.")
    address = Attribute("``str``: 'host:port' as it listens, once it does.")


class IGatewayMaker(IPlugin):
    """A protocol, as ``--protocol`` and ``Client(protocol=)`` know it. See `twisted_flow.protocols`."""

    name = Attribute("``str``: that name.")
    schemes = Attribute("``tuple[str, ...]``: of URLs that the client takes.")
    shares = Attribute("``str``: protocols of the same word may share a port; '': it needs one of its own.")
    own_socket = Attribute("``bool``: whether the gateway binds its port itself, beside a socket that does not listen.")

    def make(served: object) -> IGateway:
        """The gateway that serves what *served*, a `twisted_flow.gateway.served.Served`, says. It listens when it is
        started.
        """

    def make_channel(host: str, port: int, access: Any = None) -> IChannel:
        """The client's way to such a gateway. What it brings along (`Access`) is left out where it is nothing.

        :raises ConfigurationError: if the client does not speak the protocol.
        """
