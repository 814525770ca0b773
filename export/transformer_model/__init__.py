"""A decoder-only Transformer: its description, its weights and its forward pass. Free of state layouts."""
