"""Reads what a checkpoint says of its language: tokenizer, special tokens, chat template, defaults."""
