"""The Velesio API, with the routes of llama.cpp that LLM for Unity calls."""
