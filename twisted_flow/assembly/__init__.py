"""A flow put together: from its settings or its file to the service that runs it."""
