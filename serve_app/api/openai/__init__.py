"""OpenAI's requests and answers for text, which several dialects take and give."""
