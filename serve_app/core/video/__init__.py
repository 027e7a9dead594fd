"""Video: messages and Protocols."""
