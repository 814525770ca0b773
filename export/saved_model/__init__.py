"""SavedModels on disk: writes and publishes versions, reads and inspects them, and runs their signatures."""
