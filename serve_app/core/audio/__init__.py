"""Audio: messages and Protocols."""
