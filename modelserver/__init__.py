"""The embedded model server: TensorFlow Serving's wire protocol on the TensorFlow runtime.

`python -m modelserver` takes the real server's flags and answers with its codes and messages. It knows
nothing of tokens, sessions or Ray; `contract/` is all that it shares with the rest.
"""
