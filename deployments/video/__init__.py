"""Engines of films, and what reads and writes them."""
