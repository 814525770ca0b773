"""GPT-2's smallest shape with random weights: checkpoints, servables, and where they are kept."""
