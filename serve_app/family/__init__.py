"""A family's replica: loading, unloading and running the engines of its models."""
