"""The joints of the house: every interface, and what it promises."""

from __future__ import annotations

from twisted.application.service import IService
from zope.interface import Attribute, Interface

__all__ = ["ICodec", "IDispatcher", "IEngine", "IExecutor", "IGateway"]


class IDispatcher(Interface):
    """Answers requests. Knows no protocol. Engines, policies, whole flows and channels all are dispatchers."""

    def dispatch(request):  # type: ignore[no-untyped-def]
        """Answer *request*.

        :param Request request: frozen; its documents are the answerer's to change.
        :return: ``Deferred[Response]``. It fails with a `FlowError` and nothing else (but for Twisted's
            ``CancelledError`` to who cancelled it). Cancelling it cancels the work.
        """


class IExecutor(Interface):
    """A user's executor, ready to be opened in the place where it will run. Found by adaptation: ``IExecutor(uses)``."""

    name = Attribute("``str``: what `targetPeapod`, routes, logs and errors call it.")
    endpoints = Attribute("``Mapping[str, Endpoint]``: what each endpoint is; known before it is opened.")

    def open():  # type: ignore[no-untyped-def]
        """Make the user's object.

        To be called once, where the object's blocking methods will run.

        :return: ``Mapping[str, Callable[[Request, Context], Any]]``: for each endpoint how to call it.
        :raises Exception: whatever the user's constructor raises.
        """

    def close():  # type: ignore[no-untyped-def]
        """Close the user's object, if it was made.

        :return: None, or an awaitable that has to be awaited on the event loop.
        """


class IEngine(IDispatcher):
    """An executor, running in some place."""

    name = Attribute("``str``: the executor's name.")
    endpoints = Attribute("``Mapping[str, Endpoint]``: the executor's.")
    window = Attribute("``int``: how many calls it takes at once, now. More may be dispatched only by who bounds them.")
    health = Attribute("``str``: 'new', 'starting', 'ready', 'stopping' or 'stopped'.")

    def start():  # type: ignore[no-untyped-def]
        """Make the executor.

        :return: ``Deferred[None]``; fails with whatever the executor's constructor raised.
        """

    def stop():  # type: ignore[no-untyped-def]
        """Let the calls under way end, and close the executor. Stopping what is not started does nothing.

        :return: ``Deferred[None]``; fails with whatever the executor's ``close`` raised.
        """


class ICodec(Interface):
    """Turns bytes into requests and responses into bytes. Provided by modules; keeps nothing."""

    content_type = Attribute("``str``: the media type of what it encodes.")

    def decode_request(body, endpoint, max_depth):  # type: ignore[no-untyped-def]
        """Read a request.

        :param bytes body: all of it.
        :param endpoint: the endpoint, if the place where the request came in has one: it wins over the body's.
        :param int max_depth: how many levels of documents, and of tags, there may be.
        :return: `Request`.
        :raises BadRequest: if the bytes do not parse.
        :raises ValidationError: if they do, and say nothing that makes sense; it names the field.
        """

    def encode_response(response):  # type: ignore[no-untyped-def]
        """Write a response.

        :param Response response: with all its routes.
        :return: ``bytes``.
        :raises TypeError: if there is something in it that cannot travel (an object of the user's in tags, say).
        """


class IGateway(IService):
    """Serves a dispatcher over one protocol. ``startService`` returns a Deferred too, and ``stopService`` drains."""

    protocol = Attribute("``str``: the protocol's name, such as 'http'.")
    address = Attribute("``str``: 'host:port' as it listens, once it does.")
