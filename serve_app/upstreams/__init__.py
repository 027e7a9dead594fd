"""Registered providers over the database, with their secrets encrypted."""
