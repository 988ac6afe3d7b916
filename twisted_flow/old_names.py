"""Arguments of Jina 2 that mean nothing here: taken, with one warning, so that programs need not be changed at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, MutableMapping
from typing import TypedDict

from .suggestion import nearest

__all__ = ["IGNORED", "Ignored", "ignore", "without_ignored"]


class Ignored(TypedDict, total=False):
    """All of them, for type checkers too."""

    compress: object
    compress_min_bytes: object
    compress_min_ratio: object
    copy_flow: object
    ctrl_with_ipc: object
    daemon: object
    expose_public: object
    extra_search_paths: object
    force_update: object
    identity: object
    include_gateway: object
    inspect: object
    log_config: object
    memory_hwm: object
    native: object
    no_progressbar: object
    on_error_strategy: object
    port_ctrl: object
    port_in: object
    port_out: object
    prefetch: object
    prefetch_on_recv: object
    proxy: object
    pull_latest: object
    quiet: object
    quiet_error: object
    quiet_remote_logs: object
    runtime_backend: object
    runtime_cls: object
    scheduling: object
    show_exc_info: object
    socket_in: object
    socket_out: object
    static_routing_table: object
    timeout_ctrl: object
    timeout_ready: object
    upload_files: object
    uvicorn_kwargs: object
    workspace_id: object
    zmq_identity: object


IGNORED = frozenset(Ignored.__annotations__)


def ignore(names: Iterable[str], callee: str, known: Iterable[str] | None) -> None:
    """Hold *names*, arguments of *callee* that it does not have, to those that are ignored.

    :param known: those that it has.
    :raises TypeError: naming one that is not, and the nearest that it has.
    """
    names = sorted(names)
    for name in names:
        if name not in IGNORED:
            raise TypeError(f"{callee}() got an unexpected keyword argument {name!r}{nearest(name, list(known or ()))}")
    if names:
        warnings.warn(f"{callee}(): {', '.join(names)} mean nothing here", UserWarning, stacklevel=4)


def without_ignored(settings: object, callee: str) -> None:
    """Take those that are ignored out of *settings*, of a file."""
    if isinstance(settings, MutableMapping):
        found = IGNORED & settings.keys()
        for name in found:
            del settings[name]
        ignore(found, callee, ())
