"""The Ray Serve application: ingress, tokenizer, decoder and detokenizer, one deployment each."""
