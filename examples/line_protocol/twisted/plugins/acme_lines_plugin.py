"""What twistd finds. It is read at every start of twistd: data alone, the gateway is imported when it is used."""

from twisted_flow.protocols import Protocol

lines = Protocol(name="lines", gateway="acme_lines.gateway", schemes=("lines",))
