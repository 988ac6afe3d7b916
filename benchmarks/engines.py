"""Where executors run, side by side: calls a second of each engine, beside grpc.aio over a Unix socket; slow models.

    python benchmarks/engines.py [rounds]

Server and child share two cores; a round runs all rows in turn, and the medians of the rounds are printed.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from twisted_flow import Document, DocumentArray, Executor, requests
from twisted_flow.loop import install_reactor

SIZES = {"small": 0, "100 kB": 25_000, "4 MB": 1_000_000}
ARRAYS = {size: np.zeros(number, "f4") for size, number in SIZES.items()}
CALLS = {"small": 20_000, "100 kB": 2_000, "4 MB": 300}


class Work(Executor):
    """One method of each kind."""

    @requests(on="/def")
    def plain(self, docs: DocumentArray) -> None:
        """Change a text, if there is one."""
        for document in docs:
            if document.content_type == "text":
                document.text = document.text.upper()

    @requests(on="/async")
    async def coroutine(self, docs: DocumentArray) -> None:
        """The same."""
        self.plain(docs)

    @requests(on="/sleep")
    def sleep(self) -> None:
        """A model that waits, or computes without the interpreter's lock."""
        time.sleep(0.2)

    @requests(on="/python")
    def compute(self) -> None:
        """A model in Python, 5 ms of a core."""
        end = time.thread_time() + 0.005
        while time.thread_time() < end:
            sum(range(100))


def asked(endpoint: str, size: str) -> Any:
    """A request of that size."""
    from twisted_flow.message import Header, Request

    array = ARRAYS[size]
    document = Document(embedding=Document.take(array)) if len(array) else Document("hello world")
    return Request(
        request_id="r",
        header=Header(endpoint),
        docs=DocumentArray([document]),
        groundtruths=DocumentArray(),
        parameters={},
    )


async def measured(call: Callable[[], Awaitable[Any]], number: int, in_flight: int) -> tuple[float, float, float]:
    """Calls a second, and the median and the 99th percentile in microseconds."""
    times: list[float] = []

    async def worker() -> None:
        while len(times) + in_flight <= number:
            began = time.perf_counter()
            await call()
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    took = time.perf_counter() - began
    times.sort()
    return len(times) / took, times[len(times) // 2] * 1e6, times[len(times) * 99 // 100] * 1e6


async def engine_row(word: str, endpoint: str, size: str, in_flight: int) -> tuple[float, float, float]:
    """A row of an engine, called as the server does: by Deferreds."""
    from twisted.internet.defer import Deferred

    from twisted_flow.engine.choose import make_engine
    from twisted_flow.executor.spec import ExecutorSpec

    engine: Any = make_engine(ExecutorSpec(uses=Work), word)
    loop = asyncio.get_running_loop()
    await engine.start().asFuture(loop)
    times: list[float] = []
    number, left = CALLS[size], [CALLS[size]]
    done: Deferred[None] = Deferred()

    def call() -> None:
        if not left[0]:
            return
        left[0] -= 1
        began = time.perf_counter()
        engine.dispatch(asked(endpoint, size)).addCallbacks(answered, done.errback, callbackArgs=(began,))

    def answered(_: object, began: float) -> None:
        times.append(time.perf_counter() - began)
        if len(times) == number:
            done.callback(None)
        else:
            call()

    began = time.perf_counter()
    for _ in range(in_flight):
        call()
    await done.asFuture(loop)
    took = time.perf_counter() - began
    await engine.stop().asFuture(loop)
    times.sort()
    return number / took, times[number // 2] * 1e6, times[number * 99 // 100] * 1e6


async def grpc_row(size: str, in_flight: int) -> tuple[float, float, float]:
    """The same bytes by unary grpc.aio over a Unix socket, echoed."""
    import grpc

    with tempfile.TemporaryDirectory() as folder:
        address = f"unix:{folder}/socket"
        server = subprocess.Popen([sys.executable, __file__, "--grpc", address], stdout=subprocess.PIPE)
        assert server.stdout is not None
        server.stdout.readline()
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        try:
            async with grpc.aio.insecure_channel(address, options) as channel:
                echo = channel.unary_unary("/e/e")
                body = bytes(max(4 * SIZES[size], 120))
                return await measured(lambda: echo(body), min(CALLS[size], 5_000), in_flight)
        finally:
            server.terminate()
            server.wait()


async def serve_grpc(address: str) -> None:
    """The other end of `grpc_row`."""
    import grpc

    async def echo(body: bytes, _: object) -> bytes:
        return body

    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.aio.server(options=options)
    handler = grpc.method_handlers_generic_handler("e", {"e": grpc.unary_unary_rpc_method_handler(echo)})
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(address)
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


async def model_row(word: str, endpoint: str, replicas: int, clients: int) -> float:
    """Seconds until all *clients* of a slow model are answered."""
    from twisted_flow.assembly.copies import engine_of
    from twisted_flow.executor.spec import ExecutorSpec
    from twisted_flow.limits import Limits
    from twisted_flow.policy.admission import Admission

    engine: Any = engine_of(ExecutorSpec(uses=Work, name="work", replicas=replicas), word, Limits())
    loop = asyncio.get_running_loop()
    await engine.start().asFuture(loop)
    admission: Any = Admission(engine, 1000)
    began = time.perf_counter()
    await asyncio.gather(*(admission.dispatch(asked(endpoint, "small")).asFuture(loop) for _ in range(clients)))
    took = time.perf_counter() - began
    await engine.stop().asFuture(loop)
    return took


async def start_row() -> float:
    """Milliseconds from the start of a child to its first answer."""
    from twisted_flow.engine.choose import make_engine
    from twisted_flow.executor.spec import ExecutorSpec

    engine: Any = make_engine(ExecutorSpec(uses=Work), "process")
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    await engine.start().asFuture(loop)
    await engine.dispatch(asked("/def", "small")).asFuture(loop)
    took = time.perf_counter() - began
    await engine.stop().asFuture(loop)
    return took * 1000


async def crash_row() -> str:
    """SIGKILL of a process that has 2,000 requests before it: what became of them, and when it served again."""
    from twisted.internet.defer import Deferred, DeferredList

    from twisted_flow.assembly.copies import engine_of
    from twisted_flow.executor.spec import ExecutorSpec
    from twisted_flow.limits import Limits
    from twisted_flow.policy.admission import Admission

    engine: Any = engine_of(ExecutorSpec(uses=Work, name="work"), "process", Limits())
    loop = asyncio.get_running_loop()
    await engine.start().asFuture(loop)
    admission: Any = Admission(engine, 4000)
    answers = [admission.dispatch(asked("/python", "small")) for _ in range(2000)]
    await asyncio.sleep(0.1)
    os.kill(engine.describe()["pid"], signal.SIGKILL)
    began = time.perf_counter()
    while engine.health == "ready":
        await asyncio.sleep(0)
    noticed = time.perf_counter() - began
    while engine.health != "ready":
        await asyncio.sleep(0.001)
    again = time.perf_counter() - began
    outcomes: Deferred[Any] = DeferredList(answers, consumeErrors=True)
    results = await outcomes.asFuture(loop)
    failed = Counter(type(outcome.value).__name__ for well, outcome in results if not well)
    await engine.stop().asFuture(loop)
    answered = sum(well for well, _ in results)
    return (
        f"kill -9 with 2,000 requests: noticed after {noticed * 1000:.1f} ms, served again after {again:.2f} s; "
        f"{answered} answered, {dict(failed)} failed, {2000 - len(results)} without an answer"
    )


async def run(rounds: int) -> None:
    """Print all rows."""
    rows: dict[tuple[str, str, int], list[tuple[float, float, float]]] = {}
    for _ in range(rounds):
        for size in SIZES:
            for in_flight in (1, 16, 256) if size == "small" else (1, 16):
                for name, word, endpoint in (
                    ("thread, def", "thread", "/def"),
                    ("process, def", "process", "/def"),
                    ("process, async def", "process", "/async"),
                ):
                    row = await engine_row(word, endpoint, size, in_flight)
                    rows.setdefault((name, size, in_flight), []).append(row)
                rows.setdefault(("grpc.aio, unary", size, in_flight), []).append(await grpc_row(size, in_flight))
    print(f"{'':20}{'body':>8}{'in flight':>11}{'calls/s':>10}{'p50 µs':>9}{'p99 µs':>9}{'× grpc':>8}")
    for (name, size, in_flight), measured_rows in rows.items():
        rate, median, late = (statistics.median(each) for each in zip(*measured_rows, strict=True))
        base = statistics.median(each[0] for each in rows["grpc.aio, unary", size, in_flight])
        print(f"{name:20}{size:>8}{in_flight:>11}{rate:>10.0f}{median:>9.0f}{late:>9.0f}{rate / base:>8.1f}")
    for word in ("thread", "process"):
        took = [await model_row(word, "/sleep", replicas, 50) for replicas in (1, 4, 8)]
        print(f"50 clients of a model of 0.2 s, 1, 4 and 8 replicas ({word}): " + ", ".join(f"{t:.1f} s" for t in took))
    one, two = await model_row("process", "/python", 1, 200), await model_row("process", "/python", 2, 200)
    print(f"200 calls of 5 ms of Python: one process {one:.2f} s, two {two:.2f} s: {one / two:.2f} times as fast")
    print(await crash_row())
    print(f"a child from its start to its first answer: {await start_row():.0f} ms")


def main() -> None:
    """Run on the reactor's loop."""
    install_reactor(here=True)
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    running: Any = reactor
    loop = running._asyncioEventloop
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1

    def begin() -> None:
        task = loop.create_task(run(rounds))
        Deferred.fromFuture(task).addErrback(lambda failure: failure.printTraceback()).addBoth(lambda _: running.stop())

    running.callWhenRunning(begin)
    running.run()


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    if "--grpc" in sys.argv:
        asyncio.run(serve_grpc(sys.argv[2]))
    else:
        main()
