"""Models in llama.cpp's format, by the library `xllamacpp`."""
