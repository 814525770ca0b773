"""The decoder: plans steps over many sequences, has model servers run them, and applies the results."""
