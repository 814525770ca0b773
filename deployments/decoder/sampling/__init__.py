"""Sampling on the host, over arrays only: filters, random numbers, token masks, log-probabilities."""
