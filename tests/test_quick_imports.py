import gc

import pytest

from simulator.quick_imports import quick_imports


def test_the_collector_is_away_and_what_was_made_is_never_looked_at_again():
    assert gc.isenabled()
    before = gc.get_freeze_count()
    try:
        with quick_imports():
            assert not gc.isenabled()
            made = [[number] for number in range(1000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + len(made)
    finally:
        gc.unfreeze()


def test_it_comes_back_after_an_error_and_only_if_it_was_there():
    try:
        with pytest.raises(ImportError), quick_imports():
            raise ImportError
        assert gc.isenabled()
        gc.disable()
        with quick_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
