"""Engines of text: chat, completions, embeddings, rerank."""
