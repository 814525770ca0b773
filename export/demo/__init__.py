"""Trains the demo models: a corpus of generated stories, a small GPT-2 and an LSTM."""
