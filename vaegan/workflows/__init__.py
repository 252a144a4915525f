"""The work of the commands and of `vaegan.api`, which knows no terminal."""
