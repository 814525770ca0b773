"""The ingress process: OpenAI's HTTP API, with its schemas, Server-Sent Events and errors.

It handles text and counts of tokens. Token ids only pass through it.
"""
