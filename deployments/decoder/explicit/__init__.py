"""The explicit state layout: state lies in this process and travels with every call."""
