"""Services that a user adds: what may be given, what is told where it is wrong, and what they are told of their callers."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.grpc_calls import handler
from tests.support import ROOT, TIMEOUT
from twisted_flow import ConfigurationError, Flow, Limits
from twisted_flow.gateway.grpc.added import added

EXAMPLE = f"{ROOT}/examples/own_service/shouting.py:Shouting"


class Registered:
    """Adds services to a server, as generated functions do."""

    def __call__(self, server: Any) -> None:
        server.add_generic_rpc_handlers((handler(),))
        server.add_registered_method_handlers("told.Told", {})


@pytest.mark.parametrize("given", [handler(), Registered(), Registered, f"{__name__}:Registered"])
def test_what_may_be_given(given: Any) -> None:
    """A handler, what adds one, its class, or where it is found."""
    assert added([given]).services == ("told.Told",)


def test_servicers() -> None:
    """A generated servicer's object, its class, or where that is found; with its descriptors."""
    by_name = added([EXAMPLE])
    (servicer,) = [each for each in sys.modules.values() if getattr(each, "__file__", "") == EXAMPLE.split(":")[0]]
    for given in (by_name, added([servicer.Shouting]), added([servicer.Shouting()])):
        assert given.services == ("shouting.Shouting",)
        assert [file.name for file in given.files] == ["shouting.proto"]
    assert added([]) == added(())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (5, "grpc_services: 5 is no servicer, no generic handler, and adds no service to a server"),
        (lambda server: None, "adds no service to a server"),
        ("nowhere:Class", "there is no module 'nowhere'"),
        ("nowhere.py:Class", "there is no file"),
        (f"{__name__}:Nothing", "has no 'Nothing'"),
        (partial(int, "x"), "TypeError"),
        (handler("jina.JinaRPC"), "the service jina.JinaRPC is the flow's own"),
        (handler("grpc.health.v1.Health"), "is the flow's own"),
    ],
)
def test_mistakes(given: Any, said: str) -> None:
    """One line, before anything is served."""
    with pytest.raises(ConfigurationError) as wrong:
        Flow(protocol="grpc", host="127.0.0.1", grpc_services=[given]).start()
    assert said in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_mistake_on_the_command_line(tmp_path: pathlib.Path) -> None:
    """One line, and status 1."""
    twistd = pathlib.Path(sys.executable).with_name("twistd")
    command = [twistd, "-n", "--pidfile=", "flow", "--protocol=grpc", "--check", "--grpc-services=none.py:Class"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "none.py:Class: there is no file" in done.stderr


def test_in_a_file(tmp_path: pathlib.Path) -> None:
    """In YAML, from the file's folder; and written again."""
    (tmp_path / "own.py").write_text(
        "import grpc\n"
        "class Own:\n"
        "    def __call__(self, server):\n"
        "        method = grpc.unary_unary_rpc_method_handler(lambda body, context: body)\n"
        "        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('own.Own', {'Echo': method}),))\n"
    )
    (tmp_path / "flow.yml").write_text(
        "jtype: Flow\nwith:\n  protocol: [http, grpc]\n  host: 127.0.0.1\n  grpc_services: own.py:Own\n"
    )
    flow = Flow.load_config(tmp_path / "flow.yml")
    assert "own.py:Own" in flow.save_config()
    with flow, grpc.insecure_channel(f"127.0.0.1:{flow.port}") as channel:
        assert channel.unary_unary("/own.Own/Echo")(b"a", timeout=TIMEOUT) == b"a"


@pytest.fixture(scope="module", params=["lane", "grpcio"])
def channel(request: pytest.FixtureRequest) -> Iterator[grpc.Channel]:
    services = [handler(), EXAMPLE]
    with (
        Flow(protocol="grpc", host="127.0.0.1", grpc=request.param, grpc_services=services) as flow,
        grpc.insecure_channel(f"127.0.0.1:{flow.port}") as channel,
    ):
        yield channel


def test_health_and_reflection(channel: grpc.Channel) -> None:
    """Tools see them as they see the flow's own."""
    health = health_pb2_grpc.HealthStub(channel)
    answer = health.Check(health_pb2.HealthCheckRequest(service="shouting.Shouting"), timeout=TIMEOUT)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    database = ProtoReflectionDescriptorDatabase(channel)
    assert {"told.Told", "shouting.Shouting", "jina.JinaRPC"} <= set(database.get_services())
    pool = descriptor_pool.DescriptorPool(database)
    assert pool.FindServiceByName("shouting.Shouting").FindMethodByName("Shout").input_type.full_name == "shouting.Said"


def test_who_calls() -> None:
    """Behind the lane a method is told who has called; a caller cannot say that it is somebody else."""
    with (
        Flow(protocol="grpc", host="127.0.0.1", grpc_services=[handler()]) as flow,
        grpc.insecure_channel(f"127.0.0.1:{flow.port}") as channel,
    ):
        said = (("twisted-flow-peer", "ipv4:10.0.0.1:1"), ("twisted-flow-user", "root"), ("mine", "x"))
        told = dict(eval(channel.unary_unary("/told.Told/Tell")(b"", metadata=said, timeout=TIMEOUT)))
    assert told["twisted-flow-peer"].startswith("ipv4:127.0.0.1:")
    assert "twisted-flow-user" not in told
    assert told["mine"] == "x"


class Slow:
    """Streams without end, to whoever reads."""

    def __call__(self, server: Any) -> None:
        async def parts(body: bytes, context: Any) -> Any:
            while True:
                yield bytes(1_000_000)

        async def echo(body: bytes, context: Any) -> bytes:
            return body

        methods = {
            "Parts": grpc.unary_stream_rpc_method_handler(parts),
            "Echo": grpc.unary_unary_rpc_method_handler(echo),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("slow.Slow", methods),))


def test_slow_readers() -> None:
    """Those that do not read hold up nobody else, nor fill the memory; at the end of a drain all are told so."""
    limits = Limits(drain_grace=0.5)
    flow = Flow(protocol="grpc", host="127.0.0.1", grpc_services=[Slow()], limits=limits).start()
    with (
        grpc.insecure_channel(f"127.0.0.1:{flow.port}") as slow,
        grpc.insecure_channel(f"127.0.0.1:{flow.port}") as other,
    ):
        calls = [slow.unary_stream("/slow.Slow/Parts")(b"", timeout=TIMEOUT) for _ in range(40)]
        for call in calls:
            next(call)
        for _ in range(5):
            assert other.unary_unary("/slow.Slow/Echo")(b"a", timeout=5) == b"a"
        flow.close()
        for call in calls:
            with pytest.raises(grpc.RpcError):
                list(call)
        assert {call.code() for call in calls} == {grpc.StatusCode.UNAVAILABLE}
