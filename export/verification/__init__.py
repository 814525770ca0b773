"""Verification of written servables: against a reference and against themselves. Start with `verify.py`."""
