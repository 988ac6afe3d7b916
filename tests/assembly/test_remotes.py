"""Flows elsewhere, in a flow's description."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_flow import ConfigurationError, Flow
from twisted_flow.assembly.wiring import checked


@pytest.mark.parametrize(
    ("options", "urls"),
    [
        ({"host": "grpc://a:1"}, ["grpc://a:1"]),
        ({"host": "a:1"}, ["grpc://a:1"]),
        ({"host": "a", "port": 1}, ["grpc://a:1"]),
        ({"host": "http://a:1, ws://[::1]:2"}, ["http://a:1", "ws://[::1]:2"]),
        ({"host": ["a:1", "b:2"], "external": True}, ["grpc://a:1", "grpc://b:2"]),
        ({"host": "a"}, ["grpc://a:12345"]),
    ],
)
def test_addresses(options: Any, urls: list[str]) -> None:
    """One address or several, with a protocol or without."""
    from twisted_flow.assembly.copies import engine_of
    from twisted_flow.limits import Limits

    spec: Any = Flow().add(name="far", **options)["far"].spec
    engine: Any = engine_of(spec, None, Limits())
    assert [each.url for each in getattr(engine, "engines", [engine])] == urls
    assert checked(Flow().add(name="far", **options).config)[0].startswith("far (needs gateway): a flow at ")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"host": "ftp://a:1"}, "there is no scheme 'ftp'"),
        ({"host": "grpc://a:x"}, "host='a:x': it is a name or an address"),
        ({"host": "grpc://a:99999"}, "port=99999"),
        ({"host": "grpc://a:1", "uses": print}, "far: host= means a flow elsewhere, .*: leave out uses="),
        ({"host": "grpc://a:1", "replicas": 2}, "leave out replicas="),
        ({"host": "grpc://a:1", "env": {"A": "1"}}, "leave out env="),
        ({"host": "grpc://a:1", "engine": "process"}, "leave out engine="),
        ({"external": True}, "far: external= and port= are for a flow that is elsewhere: say its host= too"),
        ({"port": 5}, "say its host= too"),
        ({"uses": print, "endpoints": ["/a"]}, "say its host= too"),
    ],
)
def test_mistakes(options: Any, told: str) -> None:
    """One line that says what to do, when the flow is checked at the latest."""
    with pytest.raises(ConfigurationError, match=told):
        checked(Flow().add(name="far", **options).config)
