"""The record of a training: history, timing, grids, checkpoints, the exported model and the W&B run."""
