"""Compression of images into the codes of a trained model: integer tables, an entropy coder, and the files."""
