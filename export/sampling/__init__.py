"""Sampling in the graph: logit edits, masks, filters, the draw, and log-probabilities."""
