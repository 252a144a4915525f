"""A run on disk: its folder, checkpoints and exported model, written and read back."""
