"""Names without objects and checks that are made once, for sets of millions of images."""
