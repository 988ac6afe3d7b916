"""The same calls through the lane and through grpcio alone: the same messages, statuses, metadata and trailers."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import pytest

from tests.grpc_calls import UNLIMITED, proto
from tests.support import TIMEOUT
from twisted_flow import Document, DocumentArray, Executor, Flow, Limits, Reject, requests
from twisted_flow.codec.protobuf import RequestProto

CALL, POST, STREAM = "/jina.JinaRPC/Call", "/twisted_flow.Flow/Post", "/twisted_flow.Flow/Stream"
HEALTH = "/grpc.health.v1.Health/"
CHOICES = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate, "": grpc.Compression.NoCompression}


class Many(Executor):
    @requests
    async def upper(self, docs: DocumentArray) -> None:
        for document in docs:
            document.text = document.text.upper()

    @requests(on="/thread")
    def thread(self, docs: DocumentArray) -> None:
        docs[0].text = "by a thread"

    @requests(on="/fail")
    def fail(self) -> None:
        raise ValueError("as asked")

    @requests(on="/reject")
    async def reject(self, parameters: dict[str, Any]) -> None:
        raise Reject(parameters["name"], parameters["detail"], retry_after=parameters.get("after"))

    @requests(on="/hold")
    async def hold(self) -> None:
        await asyncio.sleep(TIMEOUT)

    @requests(on="/count")
    def count(self, parameters: dict[str, Any]) -> Iterator[Document]:
        for number in range(int(parameters["to"])):
            yield Document(str(number))
        if parameters.get("then"):
            raise Reject("NotFound", parameters["then"])


class Own:
    """A service of the user's, by hand."""

    async def echo(self, requests: Any, context: Any) -> Any:
        given = {pair.key: pair.value for pair in context.invocation_metadata()}
        await context.send_initial_metadata(
            [("said", given.get("say", "")), ("said-bin", b"\x00\xff"), ("forged", given.get("twisted-flow-x", ""))]
        )
        async for message in requests:
            yield message
        context.set_trailing_metadata([("end", "x"), ("end-bin", b"\x01"), ("end", "y")])
        if given.get("fail"):
            await context.abort(grpc.StatusCode[given["fail"]], given.get("why", ""))

    def in_a_thread(self, message: bytes, context: Any) -> bytes:
        context.set_details("ok, with details")
        return message + (b" before its deadline" if context.time_remaining() else b"")

    async def broken(self, message: bytes, context: Any) -> bytes:
        raise ValueError("as asked")

    async def nothing(self, requests: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.DATA_LOSS, "at once")
        yield b""

    async def slow(self, message: bytes, context: Any) -> bytes:
        await asyncio.sleep(TIMEOUT)
        return message


def own() -> Any:
    mine = Own()
    return grpc.method_handlers_generic_handler(
        "own.Own",
        {
            "Echo": grpc.stream_stream_rpc_method_handler(mine.echo),
            "Thread": grpc.unary_unary_rpc_method_handler(mine.in_a_thread),
            "Broken": grpc.unary_unary_rpc_method_handler(mine.broken),
            "Nothing": grpc.stream_stream_rpc_method_handler(mine.nothing),
            "Slow": grpc.unary_unary_rpc_method_handler(mine.slow),
        },
    )


@pytest.fixture(scope="module")
def channels() -> Iterator[dict[str, grpc.Channel]]:
    options: Any = {"protocol": "grpc", "host": "127.0.0.1", "limits": Limits(max_body=1_000_000)}
    with (
        Flow(**options, grpc_services=[own()]).add(uses=Many) as lane,
        Flow(**options, grpc_services=[own()], grpc="grpcio").add(uses=Many) as grpcio,
        grpc.insecure_channel(f"127.0.0.1:{lane.port}", UNLIMITED) as to_lane,
        grpc.insecure_channel(f"127.0.0.1:{grpcio.port}", UNLIMITED) as to_grpcio,
    ):
        yield {"lane": to_lane, "grpcio": to_grpcio}


class Told(NamedTuple):
    """All that a caller is told."""

    first: list[tuple[str, Any]]
    messages: list[Any]
    code: str
    detail: str
    trailers: list[tuple[str, Any]]


def told(call: Any, read: Callable[[bytes], Any]) -> Told:
    messages: list[Any] = []
    try:
        messages.extend(read(each) for each in call)
    except grpc.RpcError:
        pass
    return Told(
        _sorted(call.initial_metadata()), messages, call.code().name, call.details(), _sorted(call.trailing_metadata())
    )


def _sorted(metadata: Any) -> list[tuple[str, Any]]:
    """In order of their names: only those of the same name have an order."""
    pairs = [(key, _ID.sub("new", value) if isinstance(value, str) else value) for key, value in metadata]
    return sorted(pairs, key=lambda pair: pair[0])


_ID = re.compile("[0-9a-f]{32}")


def said(body: bytes) -> tuple[Any, ...]:
    """What an answer says that is the same each time."""
    read = RequestProto.FromString(body)
    return (
        _ID.sub("new", read.request_id),
        [doc.text for doc in read.data.docs],
        read.status.code,
        read.status.description,
        read.status.exception.name,
        [route.pod for route in read.routes],
        dict(read.parameters),
    )


def in_one(messages: list[Any]) -> list[Any]:
    """The documents of all parts, and how the last one ends."""
    return [[text for message in messages for text in message[1]], messages[-1:]]


def ask(on: str, *texts: str, **fields: Any) -> bytes:
    parameters = fields.pop("parameters", {})
    made = proto(on, *texts, **fields)
    made.parameters.update(parameters)
    encoded: bytes = made.SerializeToString()
    return encoded


REJECT = {"name": "QueueFull", "detail": "no room: 100 % ü\n", "after": 2.5}
LARGE = ask("/x", "a" * 1_200_000)
GZIP_BOMB = b"\x00" * 3_000_000

# what is called, messages, and options of the call
CALLS: dict[str, tuple[str, list[bytes], dict[str, Any]]] = {
    "a stream": (CALL, [ask("/x", "a", request_id=str(n)) for n in range(3)], {}),
    "a stream without messages": (CALL, [], {}),
    "a stream with failures": (CALL, [ask("/fail", request_id="1"), b"\xff", ask("/x", "b"), ask("", "c")], {}),
    "a stream with a large message": (CALL, [LARGE], {}),
    "a stream of parts": (CALL, [ask("/count", parameters={"to": 4}, stream=True)], {}),
    "a stream past its deadline": (CALL, [ask("/hold")], {"timeout": 0.3}),
    "a stream with an id": (CALL, [ask("/x", "a", request_id="")], {"metadata": (("x-request-id", "abc"),)}),
    "one": (POST, [ask("/x", "a")], {}),
    "one by a thread": (POST, [ask("/thread", "a")], {}),
    "one that is large": (POST, [ask("/x", "a" * 900_000)], {}),
    "one that is too large": (POST, [LARGE], {}),
    "one that fails": (POST, [ask("/fail")], {}),
    "one that is rejected": (POST, [ask("/reject", parameters=REJECT)], {}),
    "one without an endpoint": (POST, [ask("", "a")], {}),
    "one that does not parse": (POST, [b"\xff\xff"], {}),
    "one without a message": (POST, [], {"metadata": (("x-request-id", "abc"),)}),
    "one that is empty": (POST, [b""], {"metadata": (("x-request-id", "abc"),)}),
    "one in several messages": (POST, [ask("/x", "a"), ask("/x", "b")], {}),
    "one past its deadline": (POST, [ask("/hold")], {"timeout": 0.3}),
    "one past its own deadline": (POST, [ask("/hold", timeout=0.2)], {}),
    "one that asks for parts": (POST, [ask("/count", parameters={"to": 4}, stream=True)], {}),
    "one that cancels": (POST, [b"\n\x01r*\x02\x08\x01"], {}),
    "one with an id": (POST, [ask("/fail", request_id="")], {"metadata": (("x-request-id", "abc"),)}),
    "one with two ids": (
        POST,
        [ask("/fail", request_id="")],
        {"metadata": (("x-request-id", "abc"), ("x-request-id", "def"))},
    ),
    "parts": (STREAM, [ask("/count", parameters={"to": 3})], {}),
    "no parts": (STREAM, [ask("/count", parameters={"to": 0})], {}),
    "parts, and a failure": (STREAM, [ask("/count", parameters={"to": 2, "then": "no more ü"})], {}),
    "parts of what has none": (STREAM, [ask("/x", "a", "b")], {}),
    "parts of what fails": (STREAM, [ask("/fail")], {}),
    "parts without a message": (STREAM, [], {"metadata": (("x-request-id", "abc"),)}),
    "parts past their deadline": (STREAM, [ask("/hold")], {"timeout": 0.3}),
    "health": (HEALTH + "Check", [b""], {}),
    "health of a service": (HEALTH + "Check", [b"\n\x07own.Own"], {}),
    "health of nobody": (HEALTH + "Check", [b"\n\x03tea"], {}),
    "health that does not parse": (HEALTH + "Check", [b"\xff"], {}),
    "reflection": ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", [b":\x00", b'"\x03tea'], {}),
    "no such method": ("/jina.JinaRPC/Tea", [b""], {}),
    "no such service": ("/tea.Tea/Tea", [b""], {}),
    "no path at all": ("/", [b""], {}),
    "own, echoed": ("/own.Own/Echo", [b"a", b"", b"b" * 900_000], {"metadata": (("say", "hi"), ("x-bin", b"\x00"))}),
    "own, without messages": ("/own.Own/Echo", [], {}),
    "own, forged": ("/own.Own/Echo", [b"a"], {"metadata": (("twisted-flow-peer", "me"),)}),
    "own, failing": ("/own.Own/Echo", [b"a"], {"metadata": (("fail", "DATA_LOSS"), ("why", "a%20b"))}),
    "own, aborted at once": ("/own.Own/Nothing", [b"a"], {}),
    "own, by a thread": ("/own.Own/Thread", [b"a"], {"timeout": 20}),
    "own, broken": ("/own.Own/Broken", [b"a"], {}),
    "own, too late": ("/own.Own/Slow", [b"a"], {"timeout": 0.3}),
    "own, too large": ("/own.Own/Echo", [LARGE], {}),
    "own, no such method": ("/own.Own/Tea", [b"a"], {}),
}


LATE = "DEADLINE_EXCEEDED"
RACES = {
    "a stream past its deadline": LATE,
    "one past its deadline": LATE,
    "parts past their deadline": LATE,
    "own, too late": LATE,
    "own, too large": "RESOURCE_EXHAUSTED",
}
"""Where the client may have ended the call itself, before it has been told all: and how it ends."""


@pytest.mark.parametrize("compression", CHOICES)
@pytest.mark.parametrize("name", CALLS)
def test_the_same(channels: dict[str, grpc.Channel], name: str, compression: str) -> None:
    """Whatever is called, and however messages are compressed."""
    method, messages, options = CALLS[name]
    read = said if method in (CALL, POST, STREAM) else bytes
    by = {
        server: told(
            channel.stream_stream(method)(
                iter(messages), compression=CHOICES[compression], **{"timeout": TIMEOUT, **options}
            ),
            read,
        )
        for server, channel in channels.items()
    }
    lane, grpcio = by["lane"], by["grpcio"]
    if name in RACES:
        assert lane.code == grpcio.code == RACES[name]
        return
    if method == CALL:  # answers come as they are ready
        lane, grpcio = (each._replace(messages=sorted(each.messages, key=repr)) for each in (lane, grpcio))
    if "parts" in name:  # those that are there leave together
        lane, grpcio = (each._replace(messages=in_one(each.messages)) for each in (lane, grpcio))
    assert lane == grpcio


def test_decompressed(channels: dict[str, grpc.Channel]) -> None:
    """What is small on the wire, and large when it is decompressed, is refused, by both."""
    assert len(zlib.compress(GZIP_BOMB)) < 10_000
    for channel in channels.values():
        call = channel.stream_stream(POST)(iter([GZIP_BOMB]), compression=grpc.Compression.Gzip, timeout=TIMEOUT)
        assert told(call, said).code == "RESOURCE_EXHAUSTED"
