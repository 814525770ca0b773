"""The signatures of a servable in both state layouts, and the models that they are traced from."""
