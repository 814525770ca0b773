"""The detokenizer process: token ids to text, stop strings, and the text of log-probabilities."""
