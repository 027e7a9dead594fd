"""The parts of the transformers text engine; imported only where torch is."""
