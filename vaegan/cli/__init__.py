"""The command line: one module for each group of commands, and the only code that knows a terminal."""
