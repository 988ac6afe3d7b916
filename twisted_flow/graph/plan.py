"""The way of one kind of request through the graph: which nodes it visits, where it forks, and what is joined where.

Nodes that have not the request's endpoint, or are not meant by it, let documents through, so they are left out; a fork
whose branches all are left out is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from .graph import GATEWAY, NodeConfig, ends, ordered

__all__ = ["REQUEST", "Branches", "Join", "Plan", "Stop", "plan"]

Branches = Literal["joined", "apart", "both"]

REQUEST = 0
"""The stop at which documents are as they came in."""


class Join(Struct, frozen=True):
    """Branches, and the stop after which they parted."""

    base: int
    branches: tuple[int | Join, ...]


class Stop(Struct, frozen=True):
    """A stop on the way: a node that is visited, or a point where branches are joined."""

    node: str | None
    source: int | Join
    """The stop whose documents it takes; or several, joined."""
    sources: tuple[int, ...] = ()
    """The stops that it takes documents of, one by one."""
    branches: Branches = "joined"
    """How it takes them: joined, apart (one for each node that it needs), or both."""
    order: tuple[int, ...] = ()
    """The positions among `sources` of what `source` joins, as that names them."""


class Plan(Struct, frozen=True):
    """The stops in an order in which each has what it takes; the first is the request, and has no node."""

    stops: tuple[Stop, ...]
    end: int
    """The stop whose documents are the answer."""
    takes: tuple[tuple[tuple[int, int], ...], ...]
    """For each stop who takes its documents: a stop, and the position among its sources."""
    bases: frozenset[int]
    """The stops whose documents are needed, untouched, for a join."""
    awaited: frozenset[int]
    """The stops that lead to the end. Nobody waits for the others."""

    @property
    def chain(self) -> tuple[str, ...] | None:
        """The nodes one behind the other, where that is all there is to it."""
        straight = all(stop.source == index for index, stop in enumerate(self.stops[1:]))
        return (
            tuple(stop.node or "" for stop in self.stops[1:]) if straight and self.end == len(self.stops) - 1 else None
        )


def _leaves(source: int | Join) -> tuple[int, ...]:
    if isinstance(source, int):
        return (source,)
    return tuple(leaf for branch in source.branches for leaf in _leaves(branch))


def _bases(source: int | Join) -> set[int]:
    return set() if isinstance(source, int) else {source.base}.union(*map(_bases, source.branches))


def plan(nodes: Sequence[NodeConfig], visited: Mapping[str, Branches]) -> Plan:
    """The plan for requests that visit those of *nodes* that are in *visited*.

    :param visited: how the node takes branches, by its name.
    :raises ConfigurationError: if the nodes make no graph; see `ordered`.
    """
    way = _Way()
    source = {GATEWAY: REQUEST}
    for node in ordered(nodes):
        needed = [source[name] for name in node.needs]
        if node.name in visited and len(needed) > 1 and visited[node.name] != "joined":
            source[node.name] = way.apart(node.name, needed, visited[node.name])
            continue
        here = way.joined(needed)
        if node.name in visited:
            source[node.name] = way.stop(node.name, here)
        else:
            source[node.name] = here if isinstance(here, int) else way.stop(None, here)
    here = way.joined([source[name] for name in ends(nodes)])
    end = here if isinstance(here, int) else way.stop(None, here)
    return _finished(way.stops, end)


def _finished(stops: Sequence[Stop], end: int) -> Plan:
    takes: list[list[tuple[int, int]]] = [[] for _ in stops]
    bases: set[int] = set()
    awaited = {end}
    for index in range(len(stops) - 1, 0, -1):
        bases |= _bases(stops[index].source)
        for position, taken in enumerate(stops[index].sources):
            takes[taken].insert(0, (index, position))
            if index in awaited:
                awaited.add(taken)
    return Plan(tuple(stops), end, tuple(map(tuple, takes)), frozenset(bases), frozenset(awaited))


class _Way:
    """Stops, while they are laid; each knows the last stop that all ways to it pass (its dominator)."""

    def __init__(self) -> None:
        self.stops: list[Stop] = [Stop(None, REQUEST)]
        self._above: list[int] = [REQUEST]

    def stop(self, node: str | None, source: int | Join) -> int:
        taken = _leaves(source)
        return self._add(Stop(node, source, taken, "joined", tuple(range(len(taken)))))

    def apart(self, node: str, needed: Sequence[int], branches: Branches) -> int:
        """A stop that takes each of *needed* by itself."""
        source = self.joined(needed, each=True)
        free = list(enumerate(needed))
        order = []
        for leaf in _leaves(source):
            position = next(position for position, index in free if index == leaf)
            free.remove((position, leaf))
            order.append(position)
        return self._add(Stop(node, source, tuple(needed), branches, tuple(order)))

    def _add(self, stop: Stop) -> int:
        self.stops.append(stop)
        self._above.append(stop.source if isinstance(stop.source, int) else stop.source.base)
        return len(self.stops) - 1

    def _line(self, index: int) -> list[int]:
        """*index* and its dominators, up to the request."""
        line = [index]
        while line[-1] != REQUEST:
            line.append(self._above[line[-1]])
        return line

    def base(self, indices: Sequence[int]) -> int:
        """The last stop that all ways to all of *indices* pass."""
        common = set.intersection(*(set(self._line(index)) for index in indices))
        return max(common, key=lambda index: len(self._line(index)))

    def joined(self, indices: Sequence[int], each: bool = False) -> int | Join:
        """What stands for *indices* together: one of them, or a join.

        Branches that part later are joined first, so that what they have in common is no change of either.

        :param each: whether each index counts, also one named twice, and one on whose branch nothing happens.
        """
        indices = list(indices if each else dict.fromkeys(indices))
        if len(indices) == 1:
            return indices[0]
        base = self.base(indices)
        groups: dict[int, list[int]] = {}
        for position, index in enumerate(indices):
            line = self._line(index)
            if index != base:
                groups.setdefault(line[line.index(base) - 1], []).append(index)
            elif each:
                groups[-1 - position] = [index]
        branches = tuple(self.joined(group, each) for group in groups.values())
        return branches[0] if len(branches) == 1 else Join(base, branches)
