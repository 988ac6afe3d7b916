"""HTTP/2 (RFC 9113) as gRPC speaks it, for both ends: a state machine over bytes, without sockets and clocks."""
