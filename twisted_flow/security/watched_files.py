"""Files that are read again when they change, while the server runs: certificates, tokens."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..errors import ConfigurationError

__all__ = ["FilesWatch", "WatchedFiles"]

log = Logger()

_EVERY = 0.5  # seconds

Said = TypeVar("Said")


class WatchedFiles(Generic[Said]):
    """What some files say. What cannot be read leaves the last in use, and the log says so.

    :param what: they are, for the log.
    :param paths: theirs.
    :param read: reads all of them; it raises a `ConfigurationError` where they say nothing that can be used.
    :raises ConfigurationError: the same, the first time.
    """

    def __init__(self, what: str, paths: Sequence[str], read: Callable[[], Said]) -> None:
        self.what, self.paths, self._read = what, tuple(paths), read
        self._seen = self._last = self._state()
        self.said = read()
        """What they say."""

    def look(self, again: bool = False) -> bool:
        """Read them, if they have changed before the last look and not since, or if they are to be read *again*; return
        whether they say something new.
        """
        state = self._state()
        if not again and (state == self._seen or state != self._last):  # it may be being written just now
            self._last = state
            return False
        self._seen = self._last = state
        try:
            self.said = self._read()
        except ConfigurationError as error:
            log.error("{what}: the new files are left out, the old stay in use: {error}", what=self.what, error=error)
            return False
        log.info("{what}: {paths} read again", what=self.what, paths=", ".join(self.paths))
        return True

    def _state(self) -> tuple[object, ...]:
        return tuple(map(_state_of, self.paths))


class FilesWatch:
    """Looks at files twice a second, while it runs.

    :param watched: finds those that there are now.
    """

    def __init__(self, watched: Callable[[], Iterable[WatchedFiles[Any]]]) -> None:
        self._watched = watched
        self._looking = LoopingCall(self.look)

    def start(self) -> None:
        """Begin."""
        self._looking.start(_EVERY, now=False)

    def stop(self) -> None:
        """End; it need not have begun."""
        if self._looking.running:
            self._looking.stop()

    def look(self, again: bool = False) -> None:
        """See which have changed; read all of them, if they are to be read *again*."""
        for each in self._watched():
            each.look(again)


def _state_of(path: str) -> tuple[int, ...]:
    """What changes with a file; a link is followed: Kubernetes renews a secret by exchanging one."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
