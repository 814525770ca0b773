"""The exporter: turns models into servables that keep the contract, and verifies them.

Depends on `contract` and TensorFlow. Does not import the deployments or the model server.
"""
