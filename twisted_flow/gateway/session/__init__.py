"""The requests of a WebSocket connection or a gRPC stream."""
