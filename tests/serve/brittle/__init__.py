"""A server of its own, whose engines break and whose ports are asked; it ends before the shared one
starts.
"""
