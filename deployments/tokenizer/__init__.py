"""The tokenizer process: prompts and chats to token ids."""
