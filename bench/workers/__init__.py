"""Programs for the environments of other engines: of this tree they import only what is pure."""
