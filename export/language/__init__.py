"""Reads the language of a checkpoint: tokenizer, special tokens, chat template, generation defaults."""
