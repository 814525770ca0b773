"""Builds the inputs of model calls from sequences, and parses the sampled tokens of their outputs."""
