"""Images: messages and Protocols."""
