"""The vocabulary: messages and Protocols of every modality, without Ray, HTTP or engines."""
