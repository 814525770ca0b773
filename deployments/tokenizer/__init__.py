"""The tokenizer process: converts prompts and chats to token ids."""
