"""The explicit state layout: the state is held in this process and sent with every call."""
