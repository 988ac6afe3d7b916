"""Where a flow listens: addresses, and which protocols are served at each."""
