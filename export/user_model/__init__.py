"""Exports a user's own Keras model: recurrent layers run step by step, or a `step` function of the user's."""
