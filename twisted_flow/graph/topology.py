"""What a user builds: executors, joined by what each needs."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..errors import ConfigurationError
from ..executor.batching import batchings_of
from ..executor.spec import ExecutorSpec, Secret
from ..old_names import Ignored, ignore
from ..suggestion import nearest
from .graph import GATEWAY, NodeConfig, ends
from .plot import mermaid, svg

if TYPE_CHECKING:
    from typing import Self, Unpack

__all__ = ["Topology"]

_POD = re.compile(r"^pod(?=[0-9]+$)")  # the old name of executors without one


class Topology:
    """Executors, each with the names of those whose documents it takes.

    :param workspace: the folder for the executors' own folders.
    """

    def __init__(self, workspace: str | None = None) -> None:
        self.workspace = workspace
        self._nodes: list[NodeConfig] = []
        self._last = GATEWAY

    def add(
        self,
        uses: object = None,
        *,
        name: str | None = None,
        needs: str | Sequence[str] | None = None,
        py_modules: str | Sequence[str] = (),
        uses_with: dict[str, object] | None = None,
        uses_metas: dict[str, object] | None = None,
        uses_requests: dict[str, str] | None = None,
        engine: str | None = None,
        replicas: int = 1,
        shards: int = 1,
        polling: str | Mapping[str, str] = "any",
        devices: str | Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        max_concurrency: int | None = None,
        timeout: float | None = None,
        batch: int | Mapping[str, Any] | None = None,
        retries: int = 0,
        host: str | Sequence[str] = (),
        port: int | None = None,
        endpoints: Sequence[str] = (),
        ca: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        token: str | None = None,
        external: bool = False,
        **ignored: Unpack[Ignored],
    ) -> Self:
        """Add an executor.

        :param uses: a class with ``@requests`` methods, an object of one, a function, ``'file.py:Class'`` or
            ``'package.module:Class'``, a class of *py_modules*, an executor's YAML file, or an installed plugin's name.
            None: documents pass through.
        :param name: for ``needs``, ``targetPeapod``, routes, logs and errors; by default ``executor0`` and so on.
        :param needs: the executors, or ``'gateway'``, whose documents it takes; of several they are joined by id. By
            default the one that was added last. It may name some that are added later.
        :param py_modules: files or modules, in which a class that *uses* names alone is looked for.
        :param uses_with: arguments of its constructor.
        :param uses_metas: for its ``metas``.
        :param uses_requests: endpoints to methods' names, in place of what the marks say.
        :param engine: where it runs: 'inline', 'thread' or 'process'; by default a thread if a method of it may block.
        :param replicas: objects of it, each in a thread or process of its own; a call goes to the least busy. They
            share nothing: what one is told to remember, the others do not know.
        :param shards: the same, where each holds a part of the data (see ``self.runtime_args.shard_id``).
        :param polling: whether a call goes to 'any' shard, or to 'all', whose answers are merged; or that for each
            endpoint: ``{'/search': 'all', '*': 'any'}``.
        :param devices: GPUs for its processes, in turn: '0,1' (``CUDA_VISIBLE_DEVICES``, unless that is set).
        :param env: environment variables for its processes.
        :param max_concurrency: calls that each copy has at once; by default 256 for methods that are all
            ``async def``, else 16, of which one runs.
        :param timeout: seconds for a call, waiting included; what the request says holds too.
        :param batch: how many documents of several requests share a call: 32, or ``{'preferred_batch_size': 32,
            'timeout': 10}`` with the milliseconds that the first of them waits for more; or such for each endpoint:
            ``{'/encode': 32}``. It wins over ``@dynamic_batching``.
        :param retries: how often a call is repeated that failed with what is ``retryable`` (a crash, a connection that
            was lost); only of endpoints with ``@requests(idempotent=True)``.
        :param host: a flow that is elsewhere, in place of *uses*: ``'grpc://host:port'`` (or http, ws); several
            addresses of it, separated by commas, share the requests.
        :param port: of *host*, where that does not name it.
        :param endpoints: those of that flow that are meant; by default it is asked.
        :param ca: for https://, wss:// or grpcs://: a file with the authorities that its certificate is trusted by; by
            default the system's.
        :param cert: a file with a certificate to show it, and *key* one with that one's key.
        :param token: to show it: ``Authorization: Bearer TOKEN``.
        :param external: says that it is elsewhere; *host* alone says so as well.
        :param ignored: arguments of Jina 2 that mean nothing here (see `old_names`); there is one warning of them.
        :return: the flow itself.
        :raises ConfigurationError: on a name that is taken.
        """
        ignore(ignored, "add", [*(Topology.add.__kwdefaults__ or ()), "uses"])
        name = name or f"executor{len(self._nodes)}"
        spec = None
        hosts = tuple(filter(None, host.split(","))) if isinstance(host, str) else tuple(host)
        if (external or port is not None) and not hosts:
            raise ConfigurationError(f"{name}: external= and port= are for a flow that is elsewhere: say its host= too")
        if hosts and engine is not None:
            raise ConfigurationError(f"{name}: host= means a flow that is elsewhere: leave out engine=")
        if uses is not None or hosts:
            spec = ExecutorSpec(
                uses=uses,
                py_modules=(py_modules,) if isinstance(py_modules, str) else tuple(py_modules),
                name=name,
                uses_with=uses_with or {},
                uses_metas=uses_metas or {},
                uses_requests=uses_requests or {},
                workspace=self.workspace,
                replicas=replicas,
                shards=shards,
                polling=polling if isinstance(polling, str) else dict(polling),
                devices=tuple(filter(None, devices.split(","))) if isinstance(devices, str) else tuple(devices),
                env=dict(env or {}),
                max_concurrency=max_concurrency,
                timeout=timeout,
                batch=batchings_of(batch, name),
                retries=retries,
                host=tuple(each.strip() if port is None else f"{each.strip()}:{port}" for each in hosts),
                endpoints=(endpoints,) if isinstance(endpoints, str) else tuple(endpoints),
                ca=ca,
                cert=cert,
                key=key,
                token=None if token is None else Secret(token),
            ).checked()
        needed = (self._last,) if needs is None else (needs,) if isinstance(needs, str) else tuple(needs)
        known = {node.name for node in self._nodes}
        needed = tuple(each if each in known else _POD.sub("executor", each) for each in needed)
        self._append(NodeConfig(name, spec, engine, needed))
        self._last = name
        return self

    def needs(self, needs: Sequence[str], *, name: str | None = None) -> Self:
        """Join the documents of the executors named in *needs*; what is added next takes what comes of it."""
        return self.add(name=name or self._free("joiner"), needs=needs)

    def needs_all(self, *, name: str | None = None) -> Self:
        """Join the documents of all executors whose documents no other takes yet."""
        return self.needs(ends(self._nodes), name=name)

    def inspect(self, uses: object = None, *, name: str | None = None, **options: Any) -> Self:
        """Add an executor at the side: it sees copies of what the last one made, and nothing waits for it.

        What it makes of them is dropped, unless `gather` is called. See `add`.
        """
        before = self._last
        self.add(uses, name=name or f"inspect{len(self._nodes)}", **options)
        node = self._nodes[-1]
        self._nodes[-1] = replace(node, floating=True)
        self._last = before
        return self

    def gather(self, *, name: str | None = None) -> Self:
        """Join what the executors of `inspect` have made so far with what the last one made."""
        aside = [node.name for node in self._nodes if node.floating]
        return self.needs([self._last, *aside], name=name or self._free("gather"))

    gather_inspect = gather

    def _free(self, name: str) -> str:
        """*name*, with a number if it is taken."""
        taken = {node.name for node in self._nodes}
        return next(each for each in (name, *(f"{name}{n}" for n in range(1, len(taken) + 2))) if each not in taken)

    def located(self, location: str) -> None:
        """Note the position in a file of the executor that was added last."""
        node = self._nodes[-1]
        if node.spec is not None:
            self._nodes[-1] = replace(node, spec=replace(node.spec, location=location))

    def _append(self, node: NodeConfig) -> None:
        if any(each.name == node.name for each in self._nodes):
            raise ConfigurationError(f"two executors are named {node.name!r}")
        self._nodes.append(node)

    @property
    def num_executors(self) -> int:
        """How many executors there are, those that only join counted too."""
        return len(self._nodes)

    @property
    def num_pods(self) -> int:
        """The same with the gateway."""
        return len(self._nodes) + 1

    def build(self) -> Self:
        """The flow itself: it is joined when it starts."""
        return self

    def plot(self, output: str | pathlib.Path) -> Self:
        """Draw the graph to the file *output*: SVG, or Mermaid's text if it ends with ``.mmd``.

        :return: the flow itself.
        :raises ConfigurationError: if the executors make no graph, or the file is of neither kind.
        """
        path = pathlib.Path(output)
        if path.suffix not in (".svg", ".mmd"):
            raise ConfigurationError(f"plot({str(output)!r}): a picture's name ends with .svg, or .mmd for Mermaid")
        path.write_text(self.to_mermaid() if path.suffix == ".mmd" else self.to_svg(), encoding="utf-8")
        return self

    def to_svg(self) -> str:
        """The graph as an SVG picture.

        :raises ConfigurationError: if the executors make no graph.
        """
        return svg(self._nodes)

    def to_mermaid(self) -> str:
        """The graph in Mermaid's language, which many a README shows as a picture."""
        return mermaid(self._nodes)

    _repr_svg_ = to_svg  # what a notebook shows

    def __getitem__(self, name: str | int) -> NodeConfig:
        """The configuration of an executor, by its name or its position."""
        if isinstance(name, int):
            return self._nodes[name]
        for node in self._nodes:
            if node.name == name:
                return node
        raise KeyError(f"there is no executor {name!r}{nearest(name, [node.name for node in self._nodes])}")
