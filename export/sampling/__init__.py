"""Sampling in the graph: logit edits, token masks, filters, the draw and log-probabilities. No models."""
