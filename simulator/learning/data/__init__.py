"""Data sets: simulated brain tumors, folders of images, public layouts, declared counts.

Each module offers one :class:`simulator.registry.Dataset`, found as an entry point. Indexing reads
names and headers only; :mod:`simulator.learning.prepare` loads and normalizes.
"""
