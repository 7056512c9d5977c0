"""What nearly every job needs, torch and MONAI with it, imported at one go."""

from simulator.quick_imports import quick_imports

with quick_imports():
    import simulator.learning.evaluation
    import simulator.learning.training  # noqa: F401 - both for their imports
    from simulator.learning.context import Context

__all__ = ["Context"]
