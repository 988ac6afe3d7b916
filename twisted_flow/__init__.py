"""Serve Python functions and models: executors, joined into a flow, behind HTTP, WebSocket and gRPC.

The public names are loaded when they are first used: importing this package does nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .async_flow import AsyncFlow as AsyncFlow
    from .client.client import Client as Client
    from .document import Document as Document
    from .document import DocumentArray as DocumentArray
    from .errors import ConfigurationError as ConfigurationError
    from .errors import FlowError as FlowError
    from .errors import PermissionDenied as PermissionDenied
    from .errors import Reject as Reject
    from .errors import Unauthenticated as Unauthenticated
    from .executor.batching import dynamic_batching as dynamic_batching
    from .executor.executor import Executor as Executor
    from .executor.requests import requests as requests
    from .flow import Flow as Flow
    from .limits import Limits as Limits
    from .security.authenticator import Credentials as Credentials
    from .security.authenticator import IAuthenticator as IAuthenticator

_HOMES = {
    "AsyncFlow": "async_flow",
    "Client": "client.client",
    "ConfigurationError": "errors",
    "Credentials": "security.authenticator",
    "Document": "document",
    "DocumentArray": "document",
    "Executor": "executor.executor",
    "Flow": "flow",
    "FlowError": "errors",
    "IAuthenticator": "security.authenticator",
    "Limits": "limits",
    "PermissionDenied": "errors",
    "Reject": "errors",
    "Unauthenticated": "errors",
    "dynamic_batching": "executor.batching",
    "requests": "executor.requests",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
