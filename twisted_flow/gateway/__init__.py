"""Serving a flow over a protocol: one room for each, which provides `IGateway`."""
