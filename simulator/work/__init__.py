"""Tasks named by what goes into them, executors, and the store that keeps their results."""
