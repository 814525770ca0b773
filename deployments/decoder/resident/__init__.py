"""The resident state layout: the state is held in the model server, in a pool of keys and values."""
