"""Data sets of generated images: their description, the choice among several draws, and the forms they are kept in."""
