"""The larger parts of the command line."""
