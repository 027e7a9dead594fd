"""Durable runs of operations: the table of jobs, who runs them, and what follows from them."""
