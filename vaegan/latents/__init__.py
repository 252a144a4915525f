"""The latents of a data set: a folder of shards that other models are trained on, its making, reading and decoding."""
