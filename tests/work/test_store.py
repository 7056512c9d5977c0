import os
import time

import numpy as np
import pytest

from simulator.api import Bundle
from simulator.errors import SetupError
from simulator.work.blobs import Damaged, read
from simulator.work.store import Store

KEY = "ab" + "0" * 38


def bundle(value=1.0, size=1000):
    return Bundle(arrays={"model": np.full(size, value, dtype=np.float32)}, meta={"loss": [0.5, None]})


def test_what_was_put_comes_back(tmp_path):
    store = Store(tmp_path)
    store.put(KEY, bundle())
    got = store.get(KEY)
    assert np.array_equal(got.arrays["model"], bundle().arrays["model"])
    assert got.meta == {"loss": [0.5, None]}
    assert KEY in store


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "foreign"])
def test_a_damaged_file_is_quarantined_and_counts_as_absent(tmp_path, damage):
    store = Store(tmp_path)
    store.put(KEY, bundle())
    path = store.path(KEY)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    changed = {"flip": bytes(data), "truncate": bytes(data[:-3]), "empty": b"", "foreign": b"\x80pickle"}
    path.write_bytes(changed[damage])
    assert store.get(KEY) is None
    assert KEY not in store
    assert store.quarantined() == [path.name]


def test_the_least_recently_used_goes_first_and_live_results_stay(tmp_path):
    store = Store(tmp_path)
    keys = [f"{i:02x}" + "0" * 38 for i in range(4)]
    rng = np.random.default_rng(0)
    for age, key in enumerate(keys):
        nbytes = store.put(key, Bundle(arrays={"model": rng.normal(size=1000)}))
        old = time.time() - 7200 - 60 * (len(keys) - age)
        os.utime(store.path(key), (old, old))
    store.lease.add([keys[0]])
    assert store.evict(2.5 * nbytes) == 2
    assert [key in store for key in keys] == [True, False, False, True]


def test_results_in_recent_use_are_never_evicted(tmp_path):
    store = Store(tmp_path)
    store.put(KEY, bundle())
    assert store.evict(0) == 0
    assert KEY in store


def test_an_unusable_place_is_an_environment_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="choose one with --store"):
        Store(tmp_path / "file" / "store")


def test_a_file_that_vanishes_or_is_moved_meanwhile_counts_as_absent(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.put(KEY, bundle())

    def lost(path):
        path.unlink()
        raise Damaged(f"{path}: cut short while it was read")

    with monkeypatch.context() as patch:
        patch.setattr("simulator.work.store.read", lost)
        assert store.get(KEY) is None
    store.put(KEY, bundle())

    def evicted(path):
        found = read(path)
        path.unlink()
        return found

    monkeypatch.setattr("simulator.work.store.read", evicted)
    assert np.array_equal(store.get(KEY).arrays["model"], bundle().arrays["model"])


def test_a_sound_file_that_another_process_put_in_the_place_of_a_damaged_one_stays(tmp_path, monkeypatch):
    store, other = Store(tmp_path), Store(tmp_path)
    store.put(KEY, bundle())
    store.path(KEY).write_bytes(b"damaged")

    def slow(path):
        monkeypatch.setattr("simulator.work.store.read", read)
        assert other.get(KEY) is None
        other.put(KEY, bundle())
        raise Damaged(f"{path}: as it was read")

    monkeypatch.setattr("simulator.work.store.read", slow)
    assert np.array_equal(store.get(KEY).arrays["model"], bundle().arrays["model"])
    assert KEY in other


def test_asking_for_a_result_counts_as_using_it(tmp_path):
    store = Store(tmp_path)
    store.put(KEY, bundle())
    os.utime(store.path(KEY), (1, 1))
    assert KEY in store
    assert store.evict(0) == 0
