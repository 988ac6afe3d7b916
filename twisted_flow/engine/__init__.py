"""Where an executor runs: one module for each place, which provides `IEngine`."""
