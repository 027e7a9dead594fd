"""Ids, aliases and defaults, and which model runs an operation."""
