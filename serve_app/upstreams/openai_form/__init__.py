"""OpenAI's form, which most providers speak: one module per modality."""
