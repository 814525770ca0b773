"""Exports of large random checkpoints: time and memory, phase by phase."""
