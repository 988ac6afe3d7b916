"""``twistd flow``: the command line, turned into a `Flow` and its service."""

from __future__ import annotations

import io
import os
import platform
import sys
import typing
from typing import NoReturn, cast

import msgspec
from twisted.application.service import IService
from twisted.python import usage

import twisted

from .assembly.service import FlowService
from .assembly.wiring import checked
from .client.ping import ping
from .environment import from_environment
from .errors import ConfigurationError
from .executor.load import plugins
from .from_options import flow_from, printed_from
from .limits import Limits
from .loop import install_reactor
from .security.tokens import new_token
from .suggestion import nearest
from .telemetry.logs import hear_logging
from .version import __version__

__all__ = ["Options", "makeService"]


def _limit_options() -> list[list[object]]:
    """An option for each of the limits, described as they are."""
    hints = typing.get_type_hints(Limits, include_extras=True)
    return [
        [field.encode_name.replace("_", "-"), None, None, f"{hints[field.name].__metadata__[-1]} [{field.default}]"]
        for field in msgspec.structs.fields(Limits)
    ]


def _give_up(line: str) -> NoReturn:
    sys.exit(f"twistd flow: {line}")


def _say(text: str) -> NoReturn:
    sys.stdout.write(text)
    sys.exit(0)


_SEVERAL = {
    "protocol": "protocols", "port": "ports", "listen": "listen", "uses": "uses", "grpc-services": "grpc-services",
    "open": "open", "cors-origin": "cors-origins", "allowed-hosts": "allowed-hosts", "expose-endpoint": "expose",
}  # fmt: skip
"""Options that may be given several times, and the keys that they fill."""


class Options(usage.Options):
    """The command line of ``twistd flow``."""

    synopsis = "[--protocol=http]... [--port=12345]... [--uses=FILE.py:Class]... [options]"
    longdesc = (
        "Serves executors: Python classes whose methods answer requests. Without one, documents are returned unchanged."
    )
    optParameters = [
        ["config", "c", None, "A YAML file that describes the flow; options on the command line override it."],
        ["grpc", None, None, "What serves gRPC: lane, or grpcio, which needs a port of its own [lane]."],
        ["host", None, None, "The address to listen on [0.0.0.0]."],
        ["name", None, None, "The flow's name [flow]."],
        ["title", None, None, "The title of the docs pages."],
        ["description", None, None, "The description on the docs pages."],
        ["workspace", None, None, "The folder for the executors' own folders."],
        ["tls-cert", None, None, "A PEM file with the server's certificate and its chain: serve over TLS."],
        ["tls-key", None, None, "A PEM file with the certificate's key [it stands in --tls-cert]."],
        ["tls-client-ca", None, None, "A PEM file with the authorities whose certificates clients have to show."],
        ["engine", None, None, "Where the executors of --uses run: inline, thread, process or a plugin's."],
        ["replicas", None, None, "Objects of each executor of --uses, in a thread or process each [1]."],
        ["devices", None, None, "GPUs for their processes, in turn, such as 0,1."],
        ["max-concurrency", None, None, "Calls that each replica has at once [256 for async def methods, else 16]."],
        ["batch", None, None, "Documents of several requests that share a call of executors of --uses [each its own]."],
        ["batch-timeout", None, None, "Milliseconds that the first of them waits for more [10]."],
        ["retries", None, None, "Times that a failed call of their idempotent endpoints is repeated [0]."],
        ["tokens", None, None, "A file with the tokens of those who may ask, name:sha256-of-token a line."],
        ["authenticator", None, None, "What tells who asks: FILE.py:Class, package.module:Class, or an installed one."],
        ["ping", None, None, "Ask the server at a URL whether it is ready, and exit with status 0 if it is, else 1."],
        ["metrics-port", None, None, "A port for /metrics alone, at this machine's own address [that of HTTP]."],
        ["metrics-host", None, None, "Another address for that port; there callers show who they are [127.0.0.1]."],
        ["access-log", None, None, "A file for a line of each request; - is standard output."],
        ["access-log-format", None, None, "Of those lines: text or json [text]."],
        *_limit_options(),
    ]
    optFlags = [
        ["cors", None, "Allow cross-origin requests from every origin. See --cors-origin."],
        ["no-debug-endpoints", None, "Leave out /status and /post."],
        ["no-crud-endpoints", None, "Leave out /index, /search, /update and /delete."],
        ["no-metrics", None, "Leave out /metrics."],
        ["no-docs", None, "Leave out /docs, /redoc and /openapi.json."],
        ["exit-on-crash", None, "Exit with status 1 once an executor's process has crashed five times in a minute."],
        ["strict", None, "Answer NotFound for an endpoint that no executor has (by default, documents pass through)."],
        ["debug", None, "Send exceptions and tracebacks to callers."],
        ["print-config", None, "Print the whole configuration, and where each value comes from, and exit."],
        ["check", None, "Check the configuration and exit without serving."],
        ["list", None, "List installed executors and exit."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["protocols"] = []
        self["ports"] = []
        self["listen"] = []
        self["uses"] = []
        self["cors-origins"] = []
        self["allowed-hosts"] = []
        self["expose"] = []
        self["grpc-services"] = []
        self["open"] = []

    def opt_protocol(self, protocol: str) -> None:
        """grpc, http [the default], websocket or a plugin's. May be given again, to serve several."""
        self["protocols"].append(protocol)

    def opt_port(self, port: str) -> None:
        """The port to listen on, shared by all protocols; given again, one for each protocol in order.

        0 or none: a free port, shown in the log.
        """
        try:
            self["ports"].append(int(port))
        except ValueError:
            raise usage.UsageError(f"--port={port}: a port is a number from 0 to 65535") from None

    opt_p = opt_port

    def opt_listen(self, endpoint: str) -> None:
        """Serve at a Twisted endpoint instead of a port, such as systemd:domain=INET:index=0 or unix:/run/flow.socket.
        May be given again. With --port, gRPC is served at that port alone.
        """
        self["listen"].append(endpoint)

    def opt_version(self) -> None:
        """Print the version and exit."""
        _say(f"twisted_flow {__version__} (Twisted {twisted.__version__}, Python {platform.python_version()})\n")

    def opt_uses(self, uses: str) -> None:
        """An executor: FILE.py:Class, package.module:Class, FILE.yml, or the name of an installed one (see --list).
        Given again, the executors form a chain.
        """
        self["uses"].append(uses)

    def opt_grpc_services(self, services: str) -> None:
        """A servicer of gRPC to serve beside the flow's own, FILE.py:Class or package.module:Class; may be repeated."""
        self["grpc-services"].append(services)

    def opt_open(self, what: str) -> None:
        """What anybody may ask for though callers have to show who they are: docs."""
        self["open"].append(what)

    def opt_new_token(self, name: str) -> None:
        """Print a new token, and on a second line its line for the file of --tokens, and exit."""
        try:
            token, line = new_token(name)
        except ConfigurationError as error:
            _give_up(f"--new-token: {error}")
        sys.stderr.write("The first line is the token, for its owner alone; the second is for the file of --tokens.\n")
        _say(f"{token}\n{line}\n")

    def opt_cors_origin(self, origin: str) -> None:
        """Allow cross-origin requests from this origin (https://example.org). May be given again."""
        self["cors-origins"].append(origin)

    def opt_allowed_hosts(self, names: str) -> None:
        """Serve HTTP and WebSocket only under these host names, separated by commas [any]; others get a 421."""
        self["allowed-hosts"].extend(name.strip() for name in names.split(","))

    def opt_expose_endpoint(self, endpoint: str) -> None:
        """Serve an endpoint at an HTTP route of its own. May be given again."""
        self["expose"].append(endpoint)

    def parseArgs(self, *unexpected: str) -> None:
        """There are no arguments beside the options."""
        if unexpected:
            raise usage.UsageError(
                f"unexpected argument {unexpected[0]!r}; to serve an executor: --uses={unexpected[0]}"
            )

    def parseOptions(self, options: object = None) -> None:
        """Where something is wrong, one line says so; twistd itself would print pages, and status 0."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            _give_up(self._explained(str(error)))

    def _explained(self, error: str) -> str:
        if not error.endswith(" not recognized"):
            return error
        unknown = error.removeprefix("option --").removesuffix(" not recognized")
        return f"there is no option --{unknown}{nearest(unknown, [name.rstrip('=') for name in self.longOpt])}"

    def postOptions(self) -> None:
        """The last moment at which the reactor can be chosen."""
        if self["list"]:
            found = [f"{name}: {plugin.description}\n" for name, plugin in sorted(plugins().items())]
            _say("".join(found) or "no installed package brings an executor along\n")
        if self["ping"] is not None:
            wrong = ping(self["ping"], self["tls-cert"], self["tls-key"])
            _give_up(wrong) if wrong else _say("ready\n")
        install_reactor(here=True)
        hear_logging()
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know what a log line says
        try:
            taken = from_environment(self, os.environ, _SEVERAL)
            self["flow"] = flow = flow_from(self)
            if self["print-config"]:
                _say(printed_from(self, flow, taken))
            if self["check"]:
                _say("".join(f"{line}\n" for line in checked(flow.config)))
        except ConfigurationError as error:
            _give_up(str(error))


def makeService(options: Options) -> IService:
    """The service that *options* describe."""
    try:
        service = cast(FlowService, IService(options["flow"]))
    except ConfigurationError as error:
        _give_up(str(error))
    service.owns_process = True
    return service
