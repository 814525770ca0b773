"""Model servers: starts, supervises, connects and calls them."""
