"""The decode loop: plans steps over many sequences, has model servers run them, applies the results."""
