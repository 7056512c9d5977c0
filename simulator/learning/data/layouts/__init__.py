"""Public data sets by their layout on disk: each module declares how one family is laid out.

What they share is in :mod:`.declare` (from a declaration to a data set), :mod:`.gather` (from names to
cases), :mod:`.read` (from files to arrays) and :mod:`.partition` (from cases to sites).
"""
