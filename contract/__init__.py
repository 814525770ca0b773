"""What exporters, model servers and the decode loop agree on.

Signature and tensor names, the manifest, tensors as TensorProto, and the generated TensorFlow Serving
stubs. Depends on numpy, ml_dtypes and protobuf; knows neither TensorFlow nor Ray.
"""
