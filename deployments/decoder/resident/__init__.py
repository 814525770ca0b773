"""The resident state layout: state lies in the model server's pool of keys and values."""
