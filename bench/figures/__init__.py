"""Further figures of the application with the random model, one file each."""
