"""Networks of particular methods."""
