"""gRPC, over loopback (its server opens its own ports): bare stubs, health, reflection, statuses, limits, draining."""

from __future__ import annotations

import asyncio
import pathlib
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.grpc_calls import UNLIMITED, call, proto
from tests.support import TIMEOUT, serving
from tests.wire_samples import R1, R2, R3
from twisted_flow import Document, DocumentArray, Executor, Flow, Limits, Reject, requests
from twisted_flow.codec.protobuf import RequestProto


class Many(Executor):
    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.log: queue.SimpleQueue[str] = queue.SimpleQueue()
        LOGS.append(self.log)

    @requests
    async def upper(self, docs: DocumentArray) -> None:
        for document in docs:
            document.text = (document.text or "").upper()

    @requests(on="/fail")
    async def fail(self) -> None:
        raise ValueError("as asked")

    @requests(on="/full")
    async def full(self) -> None:
        raise Reject("QueueFull", "no room", retry_after=2)

    @requests(on="/hold")
    async def hold(self, docs: DocumentArray) -> None:
        gate = self.gates.setdefault(docs[0].text or "", asyncio.Event())
        self.log.put(f"holds {docs[0].text}")
        try:
            await gate.wait()
        except asyncio.CancelledError:
            self.log.put(f"cancelled {docs[0].text}")
            raise

    @requests(on="/release")
    async def release(self, docs: DocumentArray) -> None:
        self.gates.setdefault(docs[0].text or "", asyncio.Event()).set()


both = pytest.mark.parametrize("server", ["lane", "grpcio"])

LOGS: list[queue.SimpleQueue[str]] = []


@pytest.fixture(scope="module", params=["lane", "grpcio"])
def flow(request: pytest.FixtureRequest) -> Iterator[Flow]:
    options: Any = {"protocol": "grpc", "host": "127.0.0.1", "limits": Limits(max_body=2_000_000)}
    with Flow(**options, grpc=request.param).add(uses=Many) as flow:
        yield flow


@pytest.fixture
def channel(flow: Flow) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{flow.port}", UNLIMITED) as channel:
        yield channel


def post(channel: grpc.Channel, message: Any, **options: Any) -> Any:
    """``/twisted_flow.Flow/Post``."""
    stub = channel.unary_unary("/twisted_flow.Flow/Post", RequestProto.SerializeToString, RequestProto.FromString)
    return stub(message, **{"timeout": TIMEOUT, **options})


class TestCall:
    def test_recorded(self, channel: grpc.Channel) -> None:
        """The recorded requests are answered under their ids; a failure between them is an answer."""
        raw = channel.stream_stream("/jina.JinaRPC/Call")
        answers = {}
        for body in raw(iter([bytes.fromhex(each) for each in (R1, R2, R3)]), timeout=TIMEOUT):
            read = RequestProto.FromString(body)
            answers[read.request_id] = read
        assert answers["r1"].data.docs[0].text == "HELLO WORLD"
        assert answers["r1"].parameters["top_k"] == 5
        assert [route.pod for route in answers["r1"].routes] == ["gateway", "executor0"]
        assert answers["r1"].HasField("status")
        assert answers["r1"].status.ByteSize() == 0
        assert answers["r2"].status.code == 3
        assert answers["r2"].status.exception.name == "ExecutorError"
        assert "as asked" not in str(answers["r2"])
        assert answers["r3"].HasField("data")

    @pytest.mark.parametrize("count", [0, 1, 57, 5000])
    def test_documents(self, channel: grpc.Channel, count: int) -> None:
        """Any number of documents."""
        (answer,) = call(channel, [proto("/x", *(f"t{n}" for n in range(count)))])
        assert [doc.text for doc in answer.data.docs] == [f"T{n}" for n in range(count)]

    def test_many_requests(self, channel: grpc.Channel) -> None:
        """More than may be in flight: each is answered once."""
        answers = list(call(channel, [proto("/x", str(n), request_id=str(n)) for n in range(1000)]))
        assert sorted(int(each.request_id) for each in answers) == list(range(1000))

    def test_garbage(self, channel: grpc.Channel) -> None:
        """A message that does not parse is answered so, and the stream goes on."""
        raw = channel.stream_stream("/jina.JinaRPC/Call")
        bodies = [b"\xff\xff", proto("/x", "a").SerializeToString(), b"\x00"]
        answers = [RequestProto.FromString(each) for each in raw(iter(bodies), timeout=TIMEOUT)]
        assert sorted(each.status.exception.name for each in answers) == ["", "BadRequest", "BadRequest"]

    def test_as_they_are_ready(self, channel: grpc.Channel) -> None:
        """A slow request does not hold up the next ones; one is cancelled by its id."""
        sent: queue.SimpleQueue[Any] = queue.SimpleQueue()
        answers = call(channel, iter(sent.get, None))
        sent.put(proto("/hold", "first", request_id="1"))
        sent.put(proto("/hold", "second", request_id="2"))
        sent.put(proto("/x", "a", request_id="3"))
        assert next(answers).request_id == "3"
        cancel = RequestProto(request_id="2")
        cancel.control.command = cancel.control.CANCEL
        sent.put(cancel)
        cancelled = next(answers)
        assert (cancelled.request_id, cancelled.status.exception.name) == ("2", "Cancelled")
        sent.put(proto("/release", "first", request_id="4"))
        assert {next(answers).request_id, next(answers).request_id} == {"1", "4"}
        sent.put(None)
        assert list(answers) == []

    def test_caller_that_goes(self, channel: grpc.Channel) -> None:
        """Nothing runs for a caller that is gone."""
        log = LOGS[-1]
        while not log.empty():
            log.get()
        stream = call(channel, [proto("/hold", "gone")])
        assert log.get(timeout=TIMEOUT) == "holds gone"
        stream.cancel()
        assert log.get(timeout=TIMEOUT) == "cancelled gone"

    def test_too_large(self, channel: grpc.Channel) -> None:
        """A message over the limit ends its stream, and that alone."""
        with pytest.raises(grpc.RpcError) as wrong:
            list(call(channel, [proto("/x", "x" * 3_000_000)]))
        assert wrong.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(list(call(channel, [proto("/x", "a")]))) == 1


class TestPost:
    def test_answer(self, channel: grpc.Channel) -> None:
        """One request, one answer."""
        assert post(channel, proto("/x", "a")).data.docs[0].text == "A"

    @pytest.mark.parametrize(
        ("message", "code", "name"),
        [
            (proto("/fail"), grpc.StatusCode.INTERNAL, "ExecutorError"),
            (proto(""), grpc.StatusCode.INVALID_ARGUMENT, "ValidationError"),
            (proto("/full"), grpc.StatusCode.RESOURCE_EXHAUSTED, "QueueFull"),
        ],
    )
    def test_status(self, channel: grpc.Channel, message: Any, code: grpc.StatusCode, name: str) -> None:
        """A failure is a gRPC status, which names the error, and tells nothing else."""
        with pytest.raises(grpc.RpcError) as wrong:
            post(channel, message)
        assert wrong.value.code() == code
        assert dict(wrong.value.trailing_metadata())["x-error"] == name
        assert "as asked" not in wrong.value.details()

    def test_retry(self, channel: grpc.Channel) -> None:
        """When to try again is told the way gRPC tells it."""
        from twisted_flow.document.protobuf.descriptor import message

        with pytest.raises(grpc.RpcError) as wrong:
            post(channel, proto("/full"))
        status = message("google.rpc.Status").FromString(
            dict(wrong.value.trailing_metadata())["grpc-status-details-bin"]
        )
        info = message("google.rpc.RetryInfo")()
        assert status.details[0].Unpack(info)
        assert info.retry_delay.seconds == 2

    @both
    def test_as_much_as_may_be(self, server: str) -> None:
        """A body that is too much beside what is not answered yet is told to come again."""
        with (
            Flow(protocol="grpc", grpc=server, host="127.0.0.1", limits=Limits(max_buffered=1000)).add(
                uses=Many
            ) as flow,
            grpc.insecure_channel(f"127.0.0.1:{flow.port}", UNLIMITED) as channel,
        ):
            for _ in range(2):
                with pytest.raises(grpc.RpcError) as wrong:
                    post(channel, proto("/x", "a" * 1000))
                assert dict(wrong.value.trailing_metadata())["x-error"] == "QueueFull"
                assert post(channel, proto("/x", "a")).data.docs[0].text == "A"

    def test_deadline(self, channel: grpc.Channel) -> None:
        """The call's deadline is the request's."""
        with pytest.raises(grpc.RpcError) as wrong:
            post(channel, proto("/hold", "late"), timeout=0.3)
        assert wrong.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        with pytest.raises(grpc.RpcError) as wrong:
            post(channel, proto("/hold", "later", timeout=0.2))
        assert dict(wrong.value.trailing_metadata())["x-error"] == "DeadlineExceeded"


class TestTools:
    def test_health(self, channel: grpc.Channel) -> None:
        """Grpcio's own client finds the server and its services healthy."""
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "jina.JinaRPC", "twisted_flow.Flow"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as wrong:
            stub.Check(health_pb2.HealthCheckRequest(service="tea"), timeout=TIMEOUT)
        assert wrong.value.code() == grpc.StatusCode.NOT_FOUND

    def test_reflection(self, channel: grpc.Channel) -> None:
        """Grpcio's own client learns the services and their messages."""
        database = ProtoReflectionDescriptorDatabase(channel)
        assert {"jina.JinaRPC", "twisted_flow.Flow", "grpc.health.v1.Health"} <= set(database.get_services())
        pool = descriptor_pool.DescriptorPool(database)
        method = pool.FindServiceByName("jina.JinaRPC").FindMethodByName("Call")
        assert method.input_type.full_name == "jina.RequestProto"
        assert pool.FindMessageTypeByName("jina.DocumentProto").fields_by_name["embedding"].number == 19
        with pytest.raises(KeyError):
            pool.FindMessageTypeByName("no.Such")


@both
def test_stop(tmp_path: pathlib.Path, server: str) -> None:
    """When the server is stopping, what is in flight is answered, health says so, and open streams end."""
    (tmp_path / "slow.py").write_text(
        "import asyncio\nfrom twisted_flow import Executor, requests\nclass Slow(Executor):\n"
        "    @requests(on='/slow')\n    async def slow(self, docs):\n        print('begun', flush=True)\n        await asyncio.sleep(0.5)\n"
    )
    with serving("--protocol=grpc", f"--grpc={server}", "--uses=slow.py:Slow", cwd=tmp_path) as process:
        with grpc.insecure_channel(f"127.0.0.1:{process.port}") as channel:  # type: ignore[attr-defined]
            sent: queue.SimpleQueue[Any] = queue.SimpleQueue()
            answers = call(channel, iter(sent.get, None))
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            sent.put(proto("/slow", "a"))
            process.wait_for_line("begun")
            stopping = threading.Thread(target=process.stop)
            stopping.start()
            assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert next(answers).data.docs[0].text == "a"
            assert list(answers) == []
            sent.put(None)
            stopping.join(TIMEOUT)


@both
def test_what_is_cut_is_told_so(tmp_path: pathlib.Path, server: str) -> None:
    """Whoever has waited longer than the grace is told that the server is stopping, and the log does not blame the callers."""
    (tmp_path / "slow.py").write_text(
        "import asyncio\nfrom twisted_flow import Executor, requests\nclass Slow(Executor):\n"
        "    @requests(on='/slow')\n    async def slow(self, docs):\n        print('begun', docs[0].text, flush=True)\n        await asyncio.sleep(60)\n"
    )
    options = ("--protocol=grpc", f"--grpc={server}", "--uses=slow.py:Slow", "--drain-grace=0.3")
    with serving(*options, cwd=tmp_path) as process:
        with grpc.insecure_channel(f"127.0.0.1:{process.port}") as channel:  # type: ignore[attr-defined]
            answers = call(channel, [proto("/slow", "a", request_id="mine")])
            stub = channel.unary_unary(
                "/twisted_flow.Flow/Post", RequestProto.SerializeToString, RequestProto.FromString
            )
            posted = stub.future(proto("/slow", "b"), timeout=TIMEOUT)
            process.wait_for_line("begun a")
            process.wait_for_line("begun b")
            stopping = threading.Thread(target=process.stop)
            stopping.start()
            told = next(answers)
            assert (told.request_id, told.status.exception.name) == ("mine", "Unavailable")
            assert posted.exception().code() == grpc.StatusCode.UNAVAILABLE
            assert dict(posted.trailing_metadata())["x-error"] == "Unavailable"
            stopping.join(TIMEOUT)
    output = "\n".join(process.lines)
    assert re.search("2 requests (were )?answered Unavailable", output)
    assert "caller" not in output


def test_health_of_all(channel: grpc.Channel) -> None:
    """One question for all services."""
    told = health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest(), timeout=TIMEOUT).statuses
    assert told.keys() == {"", "jina.JinaRPC", "twisted_flow.Flow"}
    assert {each.status for each in told.values()} == {health_pb2.HealthCheckResponse.SERVING}


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_of_either_version(channel: grpc.Channel, version: str) -> None:
    """Newer tools ask for v1, older ones for v1alpha; the messages are the same."""
    ask = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"grpc.reflection.{version}.ServerReflection"),
    ]
    listed, found = ask(iter(questions), timeout=TIMEOUT)
    names = {service.name for service in listed.list_services_response.service}
    assert {f"grpc.reflection.{each}.ServerReflection" for each in ("v1", "v1alpha")} <= names
    assert found.file_descriptor_response.file_descriptor_proto


def test_request_ids(channel: grpc.Channel) -> None:
    """Metadata call a request by a name, where the message does not; it is told in answers and failures."""
    named = (("x-request-id", "abc"),)
    assert post(channel, proto("/x", "a", request_id=""), metadata=named).request_id == "abc"
    assert post(channel, proto("/x", "a", request_id="mine"), metadata=named).request_id == "mine"
    for bad in ("x" * 129, ""):
        answer = post(channel, proto("/x", "a", request_id=""), metadata=(("x-request-id", bad),))
        assert len(answer.request_id) == 32
    with pytest.raises(grpc.RpcError) as wrong:
        post(channel, proto("/fail", request_id=""), metadata=named)
    assert dict(wrong.value.trailing_metadata())["x-request-id"] == "abc"
    with pytest.raises(grpc.RpcError) as wrong:
        post(channel, proto("/fail", request_id="a\r\nb\x00é"))
    assert wrong.value.code() == grpc.StatusCode.INTERNAL
    assert dict(wrong.value.trailing_metadata())["x-request-id"] == "a\\r\\nb\\x00\\xe9"
    stub = channel.stream_stream("/jina.JinaRPC/Call", RequestProto.SerializeToString, RequestProto.FromString)
    messages = [proto("/x", "a", request_id=""), proto("/x", "b", request_id="mine")]
    assert {answer.request_id for answer in stub(iter(messages), timeout=TIMEOUT, metadata=named)} == {"abc", "mine"}


def test_taken_port(tmp_path: pathlib.Path, flow: Flow) -> None:
    """A second server on the port is told so; it does not share it silently."""
    from twisted_flow import ConfigurationError

    for server in ("lane", "grpcio"):
        with pytest.raises(ConfigurationError, match="Address already in use"):
            Flow(protocol="grpc", grpc=server, host="127.0.0.1", port=flow.port).start()


def test_other_reactor(tmp_path: pathlib.Path) -> None:
    """Under a reactor without asyncio grpcio cannot be in front, which one line says; the lane needs none."""
    twistd = pathlib.Path(sys.executable).with_name("twistd")
    command = [twistd, "--reactor=epoll", "-n", "--pidfile=", "flow", "--protocol=grpc", "--port=0"]
    done = subprocess.run([*command, "--grpc=grpcio"], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 1
    assert "gRPC needs the asyncio reactor: start twistd without --reactor" in done.stdout
    assert "Traceback" not in done.stdout
    (tmp_path / "e.py").write_text(
        "from twisted_flow import Executor, requests\nclass E(Executor):\n"
        "    @requests\n    def f(self, docs):\n        docs[0].text = 'by a thread'\n"
    )
    process = subprocess.Popen([*command, "--uses=e.py:E"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = next(found[1] for line in process.stdout if (found := re.search(r"Local access:.*:(\d+)", line)))
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert post(channel, proto("/x", "a")).data.docs[0].text == "by a thread"
            assert next(call(channel, [proto("/x", "a")])).data.docs[0].text == "by a thread"
    finally:
        process.terminate()
        process.wait(TIMEOUT)
        process.stdout.close()  # type: ignore[union-attr]


@both
def test_three_protocols_one_answer(tmp_path: pathlib.Path, server: str) -> None:
    """One flow, three protocols: the same documents, the same answer. They share a port, but for grpcio."""
    import json
    import urllib.request

    import websockets.sync.client

    body = {
        "requestId": "r",
        "data": [{"id": "d", "text": "grüße"}],
        "execEndpoint": "/x",
        "parameters": {"a": [1, 2.5]},
    }
    with Flow(protocol=["http", "websocket", "grpc"], grpc=server, host="127.0.0.1").add(uses=Many) as flow:
        ports = flow.ports
        assert ports["http"] == ports["websocket"]
        assert (ports["http"] == ports["grpc"]) is (server == "lane")
        asked = urllib.request.Request(
            f"http://127.0.0.1:{ports['http']}/post", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
            by_http = json.load(answer)
        with websockets.sync.client.connect(f"ws://127.0.0.1:{ports['websocket']}/") as socket:
            socket.send(json.dumps(body))
            by_websocket = json.loads(socket.recv(TIMEOUT))
        with grpc.insecure_channel(f"127.0.0.1:{ports['grpc']}") as channel:
            made = proto("/x", request_id="r")
            made.data.docs.add(id="d", text="grüße")
            made.parameters.update({"a": [1, 2.5]})
            by_grpc = post(channel, made)
    assert by_http["data"] == by_websocket["data"]
    assert by_http["parameters"] == by_websocket["parameters"] == {"a": [1, 2.5]}
    assert Document.from_protobuf(by_grpc.data.docs[0]).to_dict() == by_http["data"]["docs"][0]
    assert by_http["data"]["docs"][0]["text"] == "GRÜSSE"
