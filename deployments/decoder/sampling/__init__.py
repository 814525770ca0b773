"""Sampling on the host, with arrays only: filters, random numbers, masks, log-probabilities."""
