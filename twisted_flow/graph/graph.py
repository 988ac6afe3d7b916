"""The graph of a flow, as data: its nodes, and what each waits for. No sockets, no threads, nothing that runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from ..errors import ConfigurationError
from ..executor.spec import ExecutorSpec
from ..suggestion import nearest

__all__ = ["GATEWAY", "NodeConfig", "ends", "ordered"]

GATEWAY = "gateway"
"""What a node waits for that takes requests as they come in."""


class NodeConfig(Struct, frozen=True):
    """One node of a flow: an executor, and where it runs and stands."""

    name: str
    spec: ExecutorSpec | None
    """None: it only joins what it waits for."""
    engine: str | None = None
    needs: tuple[str, ...] = (GATEWAY,)
    """The names of the nodes whose documents it takes, in the order in which their changes win."""
    floating: bool = False
    """Whether nothing waits for it: it sees copies, and what it makes of them is dropped."""


def ordered(nodes: Sequence[NodeConfig]) -> tuple[NodeConfig, ...]:
    """*nodes*, each behind those that it needs; otherwise as they were added.

    :raises ConfigurationError: one line, on names that are taken or unknown, on circles, and on what nothing leads to.
    """
    known: dict[str, NodeConfig] = {}
    for node in nodes:
        if node.name in known:
            raise ConfigurationError(f"two executors are named {node.name!r}")
        if node.name == GATEWAY:
            raise ConfigurationError(f"no executor can be named {GATEWAY!r}: that name is reserved")
        known[node.name] = node
    for node in nodes:
        _check(node, known)
    done: dict[str, NodeConfig] = {}
    for node in nodes:
        _visit(node, known, done, ())
    return tuple(done.values())


def _check(node: NodeConfig, known: Mapping[str, NodeConfig]) -> None:
    if not node.needs:
        raise ConfigurationError(f"nothing leads to {node.name!r}: name what it needs")
    for name in node.needs:
        if name != GATEWAY and name not in known:
            raise ConfigurationError(
                f"{node.name!r} needs {name!r}, and there is no such executor{nearest(name, [*known, GATEWAY])}"
            )


def _visit(
    node: NodeConfig, known: Mapping[str, NodeConfig], done: dict[str, NodeConfig], behind: tuple[str, ...]
) -> None:
    if node.name in behind:
        circle = " → ".join((*behind[behind.index(node.name) :], node.name))
        raise ConfigurationError(f"the executors depend on each other in a circle: {circle}")
    if node.name in done:
        return
    for name in node.needs:
        if name != GATEWAY:
            _visit(known[name], known, done, (*behind, node.name))
    done[node.name] = node


def ends(nodes: Iterable[NodeConfig]) -> tuple[str, ...]:
    """The names of those nodes whose documents no other takes; `GATEWAY` where there are none."""
    nodes = [node for node in nodes if not node.floating]
    needed = {name for node in nodes for name in node.needs}
    return tuple(node.name for node in nodes if node.name not in needed) or (GATEWAY,)
