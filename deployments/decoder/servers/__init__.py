"""Model servers: how they are started, supervised, connected and called."""
