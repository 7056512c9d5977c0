"""What is trained with is what the bytes say, and packing is no reason to train again."""

import numpy as np
import pytest

from simulator.api import Bundle
from simulator.codec import decode, encode, form_of, packing_of, values_of
from simulator.codec.tasks import measure, transmit
from simulator.scenario.transmission import Codec
from tests.support import run

CODECS = [
    Codec(kind="fp16"),
    Codec(kind="int8", delta=True, zstd=3),
    Codec(delta=True, zstd=1),
    Codec(kind="topk", fraction=0.05, values="fp16", zstd=3, shuffle=False),
]


def made(seed):
    rng = np.random.default_rng(seed)
    sizes = {"model": 5000, "buffers": 30}
    arrays = {name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    return Bundle(arrays=arrays | {"counters": np.arange(3), "optimizer.m": np.ones(5)})


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("num_bases", [0, 1, 2])
def test_the_tasks_are_the_wire_format(codec, num_bases):
    if num_bases and not codec.uses_delta:
        return
    sent, *bases = made(1), made(2), made(3)
    bases = bases[:num_bases]
    named = dict(zip(("base", "past"), bases, strict=False))
    payload, values = encode(sent, codec, **named), values_of(codec, delta=bool(bases))
    got = transmit(None, sent, *bases, **values).arrays
    wanted = decode(payload, form_of(sent), base=bases[0] if bases else None).arrays
    assert {name: array.tobytes() for name, array in got.items()} == {
        name: array.tobytes() for name, array in wanted.items()
    }
    size = measure(None, sent, *bases, **values, **packing_of(codec)).meta["nbytes"]
    assert size == len(payload)


def learned(tmp_path, algorithm, *overrides):
    """Keys of the work of a planned run but for measuring."""
    result = run(tmp_path, f"algorithm: {{name: {algorithm}, rounds: 2}}\n", *overrides)
    return {row[2] for row in result.world.work}, result


@pytest.mark.parametrize(
    "codec", ["{kind: fp32}", "{kind: int8, delta: true}", "{kind: topk, fraction: 0.1}"]
)
def test_packing_and_another_network_retrain_nothing(tmp_path, codec):
    plain, one = learned(tmp_path, "fedavg", f"network.codec={codec}")
    options = ["network.codec.zstd=3", "network.codec.shuffle=false", "network.codec.encode_rate=1 MB/s"]
    packed, other = learned(tmp_path, "fedavg", f"network.codec={codec}", *options)
    assert plain == packed
    assert one.world.keys < other.world.keys
    slow, last = learned(tmp_path, "fedavg", f"network.codec={codec}", "sites.b.link.up=1 Mbit/s")
    assert plain == slow
    assert one.world.keys == last.world.keys
    assert one.virtual_time_s < last.virtual_time_s


def test_fedavg_and_local_share_their_first_epochs(tmp_path):
    first = []
    for algorithm in ("fedavg", "local"):
        _, result = learned(tmp_path, algorithm)
        first.append({row[0]: row[2] for row in reversed(result.world.work) if row[1] == "train"})
    assert first[0] == first[1]
    assert set(first[0]) == {"a", "b", "c"}
