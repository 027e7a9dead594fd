"""A server of its own, whose processes are killed; it ends before the shared one starts."""
