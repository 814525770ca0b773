"""Further experiments with this application and the random model, one file each."""
