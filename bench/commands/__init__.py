"""One file for each command of `python -m bench`, with `main(arguments)`."""
