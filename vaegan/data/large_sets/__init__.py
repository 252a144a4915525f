"""What millions of images need: names that are no objects, and checks that are made once."""
