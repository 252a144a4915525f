"""What a run leaves on disk: its folder, checkpoints, the exported model, and how they are read back."""
