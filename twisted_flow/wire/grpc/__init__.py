"""gRPC over HTTP/2, as PROTOCOL-HTTP2 has it: messages in the data of streams, calls and statuses in fields."""
