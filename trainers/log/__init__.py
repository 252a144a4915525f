"""What a training leaves behind: history, timing, grids, checkpoints, the W&B run."""
