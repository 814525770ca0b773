"""Contenders: this application, the raw step, the naive loop, and other engines, behind one interface."""
