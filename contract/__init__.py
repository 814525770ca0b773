"""The contract between exporters, model servers and the decode loop.

Names of signatures and tensors, the manifest, tensors as TensorProto, and the generated TensorFlow Serving
stubs. Depends on numpy, ml_dtypes and protobuf.
"""
