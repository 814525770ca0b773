"""SavedModels on disk: written aside and published, read without weights, inspected, and run."""
