from tests.learning.toy import one_thread, toy_registry

__all__ = ["one_thread", "toy_registry"]
