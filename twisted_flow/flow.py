"""`Flow`: what a user builds, starts and stops."""

from __future__ import annotations

import io
import os
import pathlib
import threading
from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, cast

import msgspec

from .assembly.banner import banner, show
from .assembly.exposing import Exposing
from .assembly.flow_config import FlowConfig
from .assembly.listening import Listening
from .assembly.wiring import make_service
from .client.own import OwnClient
from .errors import ConfigurationError
from .executor.address import not_while_imported
from .gateway.http.routes import HTTPSettings, hosts, origins
from .graph.graph import NodeConfig
from .graph.topology import Topology
from .limits import Limits, checked
from .listen.listeners import named
from .loop import install_reactor, run_in_reactor
from .old_names import Ignored, ignore
from .process.signals import wait_for_stop
from .security.settings import security_settings, tls_files
from .telemetry.settings import TelemetrySettings

if TYPE_CHECKING:
    from typing import Self, Unpack

__all__ = ["Flow"]


class Flow(Topology, OwnClient, Listening, Exposing):
    """Executors, joined, and how they are served.

    ``with Flow(protocol='http', port=12345).add(uses=MyExecutor) as flow: flow.block()``

    :param protocol: 'grpc', 'http' or 'websocket', or a list of them.
    :param port: to listen on, or a list, paired with the protocols; several share one port. None: a free one is chosen,
        and told by `port` once the flow has started.
    :param port_expose: the same as *port*, by its older name.
    :param listen: endpoint strings of Twisted's, in place of a port; *port* is for gRPC alone then.
    :param grpc: what serves gRPC: 'lane', our own, several times as fast; or 'grpcio', which needs a port of its own.
    :param grpc_services: services that gRPC serves beside the flow's own: objects of generated servicers' classes, or
        the classes; grpcio's generic handlers; or texts that name one, 'FILE.py:Class' or 'package.module:Class'.
    :param host: the address to listen on.
    :param name: of the flow.
    :param cors: whether other origins' pages may ask: no, yes, or those origins ('https://app.example').
    :param allowed_hosts: the names that HTTP and WebSocket may be asked by ('flow.example', 'localhost:12345'); none:
        any. Where pages of other sites must not reach the server by a name of theirs (DNS rebinding), name them.
    :param tls_cert: a PEM file with the server's certificate, and its chain behind that: all protocols are served over
        TLS, 1.2 or newer. It, and the other two, are read again when they change.
    :param tls_key: a PEM file with the certificate's key; None: it stands in *tls_cert*.
    :param tls_client_ca: a PEM file with the authorities of which clients have to show a certificate (mutual TLS).
    :param tokens: a file with the tokens of those who may ask, a line each: ``name:sha256-of-token``, as ``twistd flow
        --new-token=NAME`` prints it. It is read again when it changes.
    :param authenticator: what tells who asks, in place of that: an `IAuthenticator`, or its class; a function that
        takes `Credentials`; or a text: 'FILE.py:Class', 'package.module:Class' or the name of an installed one.
    :param open: what anybody may ask for all the same: 'docs'.
    :param metrics: whether there is ``/metrics``, as Prometheus asks for it.
    :param metrics_port: a port for that alone; None: it is on the port of HTTP.
    :param metrics_host: the address of that port; at one of this machine's own nobody is asked for credentials.
    :param access_log: a file for a line of each request, or '-', which is standard output.
    :param access_log_format: of those lines: 'text' or 'json'.
    :param title: of the docs pages.
    :param description: of the docs pages.
    :param no_debug_endpoints: do without ``/status`` and ``/post``.
    :param no_crud_endpoints: do without ``/index``, ``/search``, ``/update`` and ``/delete``.
    :param docs: whether there are ``/docs``, ``/redoc`` and ``/openapi.json``.
    :param strict: whether an endpoint that no executor has is answered `NotFound`; else documents pass through.
    :param exit_on_crash: whether ``twistd flow`` ends, with status 1, once an executor's own process has crashed five
        times within a minute; else it is started again every 30 s.
    :param workspace: the folder for the executors' own folders.
    :param limits: what is bounded, and where.
    :param debug: whether callers are told all that is known of a failure.
    :param ignored: what means nothing here (see `old_names`): there is one warning of it.
    :raises ConfigurationError: where that makes no flow.
    """

    def __init__(
        self,
        *,
        protocol: str | Sequence[str] = "grpc",
        port: int | Sequence[int] | None = None,
        port_expose: int | Sequence[int] | None = None,
        listen: str | Sequence[str] = (),
        grpc: str = "lane",
        grpc_services: str | Sequence[object] = (),
        host: str = "0.0.0.0",
        name: str = "flow",
        cors: bool | str | Sequence[str] = False,
        allowed_hosts: str | Sequence[str] = (),
        tls_cert: str | None = None,
        tls_key: str | None = None,
        tls_client_ca: str | None = None,
        tokens: str | None = None,
        authenticator: object = None,
        open: str | Sequence[str] = (),
        metrics: bool = True,
        metrics_port: int | None = None,
        metrics_host: str = "127.0.0.1",
        access_log: str | None = None,
        access_log_format: str = "text",
        title: str | None = None,
        description: str = "",
        no_debug_endpoints: bool = False,
        no_crud_endpoints: bool = False,
        docs: bool = True,
        strict: bool = False,
        exit_on_crash: bool = False,
        workspace: str | None = None,
        limits: Limits | None = None,
        debug: bool = False,
        **ignored: Unpack[Ignored],
    ) -> None:
        ignore(ignored, "Flow", Flow.__init__.__kwdefaults__)
        if None not in (port, port_expose) and port != port_expose:
            raise ConfigurationError("port and port_expose are the same setting: give one of them")
        port = port if port is not None else port_expose
        super().__init__(workspace)
        self.host, self.name, self.strict, self._exit_on_crash = host, name, strict, exit_on_crash
        self._protocols, self._ports = named(protocol, port)
        self._listen = (listen,) if isinstance(listen, str) else tuple(listen)
        self._grpc = grpc
        self._grpc_services = (grpc_services,) if isinstance(grpc_services, str) else tuple(grpc_services)
        self._listeners = self._paired(self._protocols, self._ports)
        self._limits = checked(limits or Limits())
        self._http = HTTPSettings(
            title=title or "Twisted Flow",
            description=description,
            cors=cors if isinstance(cors, bool) else origins(cors),
            allowed_hosts=hosts(allowed_hosts),
            debug_endpoints=not no_debug_endpoints,
            crud_endpoints=not no_crud_endpoints,
            docs=docs,
            limits=self._limits,
            debug=debug,
        )
        tls = tls_files(tls_cert, tls_key, tls_client_ca)
        self._security = security_settings(tls, tokens, authenticator, open)
        self._telemetry = TelemetrySettings(
            metrics=metrics,
            metrics_port=metrics_port,
            metrics_host=metrics_host,
            access_log=os.path.abspath(access_log) if access_log and access_log != "-" else access_log or "",
            access_log_format=access_log_format,
        )
        self._exposed = []
        self._service = None
        self._closed = threading.Event()

    def _append(self, node: NodeConfig) -> None:
        self._must_not_run()
        super()._append(node)

    @property
    def config(self) -> FlowConfig:
        """All that there is to say of this flow."""
        return FlowConfig(
            name=self.name,
            listeners=self._listeners,
            host=self.host,
            nodes=tuple(self._nodes),
            http=msgspec.structs.replace(
                self._http,
                exposed=tuple(self._exposed),
                authenticated=self._security.asks,
                open_docs="docs" in self._security.open,
            ),
            limits=self._limits,
            security=self._security,
            telemetry=self._telemetry,
            strict=self.strict,
            grpc_services=self._grpc_services,
            exit_on_crash=self._exit_on_crash,
            workspace=self.workspace,
        )

    @classmethod
    def load_config(cls, source: str | pathlib.Path | io.TextIOBase, **settings: object) -> Self:
        """The flow that a YAML file describes (a text of several lines is taken for what a file says).

        :param settings: arguments of the constructor, in place of what the file says (of ``limits`` a dict will do);
            ``override_with`` is a dict of such.
        :raises ConfigurationError: one line, with the position in the file.
        """
        from .assembly.flow_file import build  # YAML only for those who use it

        return build(cls, source, {**cast(dict[str, object], settings.pop("override_with", {})), **settings})  # type: ignore[return-value]

    def save_config(self, path: str | pathlib.Path | None = None) -> str:
        """This flow as YAML, which is also written to *path*, if that is given.

        :raises ConfigurationError: where something in it cannot be said in a file, such as a class without a module.
        """
        from .assembly.flow_written import written

        text = written(self.config, self.listening)
        if path:
            pathlib.Path(path).write_text(text, encoding="utf-8")
        return text

    def copy(self) -> Self:
        """A flow of its own that says the same, and is not started."""
        twin = copy(self)
        twin._nodes, twin._exposed = list(self._nodes), list(self._exposed)
        twin._service, twin._client, twin._closed = None, None, threading.Event()
        return twin

    def __conform__(self, interface: object) -> object:
        """``IService(flow)``: the flow as a service, for a ``.tac`` file or another plugin."""
        from twisted.application.service import IService

        if interface is not IService:
            return None
        install_reactor(here=True)
        return make_service(self.config)

    def start(self) -> Self:
        """Serve, until `close`. Executors are made and the port listens when this returns. The reactor runs in a thread
        of its own, unless it runs already.

        :raises ConfigurationError: where the flow cannot be served; whatever an executor's constructor raises.
        """
        if self._service is not None:
            raise RuntimeError("the flow is already started")
        not_while_imported()
        install_reactor()
        service = make_service(self.config)
        run_in_reactor(service.start)
        self._service = service
        self._closed.clear()
        show(banner(self.config, service.addresses, service.engines))
        return self

    def close(self) -> None:
        """Stop: what was accepted is answered, then executors close. A flow that is not started is left alone."""
        service, self._service = self._service, None
        self._forget_client()
        if service is not None:
            run_in_reactor(service.stop)
            self._closed.set()

    def block(self) -> None:
        """Wait for Ctrl-C or SIGTERM; in another thread than the main one, until the flow is closed."""
        (wait_for_stop if threading.current_thread() is threading.main_thread() else self._closed.wait)()

    def _reached_at(self) -> tuple[str, int]:
        if self._service is None:
            raise RuntimeError("the flow is not started: use it in a `with`")
        return self._protocols[0], self.port

    @property
    def _own_certificate(self) -> str | None:
        return None if self._security.tls is None else self._security.tls.cert

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *problem: object) -> None:
        self.close()
