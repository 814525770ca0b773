"""Makes the demo models: a corpus of tales from a grammar, a tokenizer, and training of a GPT and an LSTM."""
