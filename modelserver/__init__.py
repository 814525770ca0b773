"""The embedded model server: TensorFlow Serving's gRPC protocol on the TensorFlow runtime.

`python -m modelserver` takes flags of TensorFlow Serving (here: "the real server") and answers with its codes
and messages. It does not depend on tokens, sessions or Ray.
"""
