"""Engines of videos, and what reads and writes them."""
