"""What a written servable computes, held against a reference and against itself; verify.py is the door."""
