"""A comparison as one page, with its pictures, plots and tables."""
