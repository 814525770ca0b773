"""Programs that run in processes and environments of their own, with only pure modules of this tree."""
