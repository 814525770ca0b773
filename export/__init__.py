"""Turns models into servables that keep the contract: one file per family, one writer, one verifier.

Depends on `contract` and TensorFlow; knows neither the deployments nor the model server.
"""
