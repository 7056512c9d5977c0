"""What nearly every job needs, torch and MONAI with it, imported at one go."""

from simulator.quick_imports import quick_imports

with quick_imports():
    import simulator.learning.evaluation
    import simulator.learning.training  # noqa: F401 - both for their imports
    from simulator.learning import cases, classifier_networks, models
    from simulator.learning.context import Context
    from simulator.learning.numerics import release_memory

__all__ = ["Context", "forget"]


def forget() -> None:
    """Drop the cases and networks that this process keeps, and give their memory back."""
    cases.CACHE.clear()
    models.resident.cache_clear()
    classifier_networks.resident.cache_clear()
    release_memory()
