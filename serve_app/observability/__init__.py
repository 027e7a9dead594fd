"""Metrics, the access log and captured payloads. Pure: no Ray."""
