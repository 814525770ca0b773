"""The HTTP side: OpenAI's schemas, Server-Sent Events and errors. Knows no tokens, only text and counts."""
