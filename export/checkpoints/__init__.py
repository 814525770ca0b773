"""Reads checkpoints in Hugging Face's layout: files, tensors, `config.json`, and the hub."""
