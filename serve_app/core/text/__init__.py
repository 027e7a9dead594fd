"""Text: messages and Protocols."""
