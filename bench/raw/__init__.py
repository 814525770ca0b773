"""TensorFlow's own step in one process, without any serving around it: what serving is measured against."""
