"""The training step of each family, one file a family."""
