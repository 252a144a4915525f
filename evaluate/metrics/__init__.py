"""The metrics: each measures the images batch by batch, and computes its result from sums over all of them."""
