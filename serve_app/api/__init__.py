"""HTTP: one folder per dialect over the core operations. Pure: no Ray, no environment."""
