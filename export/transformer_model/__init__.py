"""A decoder-only Transformer: its description, its weights and its forward pass, for any state layout."""
