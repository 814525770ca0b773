"""The detokenizer process: converts token ids to text and watches for stop strings."""
