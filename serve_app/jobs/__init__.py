"""Durable jobs: their table, the executors that run them, callbacks and cleaning up."""
