"""Models with random weights: checkpoints, their vocabulary, and servables, kept in a cache."""
