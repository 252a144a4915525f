"""The metrics: each takes from the images what it needs, batch by batch, and ends with figures."""
