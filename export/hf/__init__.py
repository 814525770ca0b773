"""Reads Hugging Face checkpoints: one module per model family in `families/`."""
