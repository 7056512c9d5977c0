"""``network.codec``: settings that belong to one kind, or that say nothing."""

from collections.abc import Iterator

from simulator.scenario.locate import Finding, KeyPath
from simulator.scenario.transmission import Codec

_PATH: KeyPath = ("network", "codec")


def check_codec(codec: Codec) -> Iterator[Finding]:
    """Yield what is wrong with a scenario's codec."""
    if codec.kind == "topk":
        yield from _topk(codec)
    else:
        for name in ("fraction", "values"):
            if getattr(codec, name) is not None:
                yield _of_key(name, f"{codec.kind} codes all values; remove it or write kind: topk")
        if codec.error_feedback is not None and not codec.delta:
            yield _of_key("error_feedback", f"{codec.kind} loses nothing that adds up; add delta: true")
        elif codec.error_feedback is not None and codec.kind == "fp32":
            yield _of_key("error_feedback", "fp32 is lossless; remove it")
    if codec.kind == "fp32" and codec.delta and not codec.zstd:
        yield _of_key("delta", "a difference in fp32 is as large as the model; add zstd")
    if not codec.shuffle and not codec.zstd:
        yield _of_key("shuffle", "it only prepares for zstd; add zstd or remove it")
    for name in ("encode_rate", "decode_rate"):
        if getattr(codec, name) == 0:
            yield Finding(path=(*_PATH, name), message="would never end; write a rate above zero")


def _topk(codec: Codec) -> Iterator[Finding]:
    if codec.fraction is None:
        yield Finding(path=_PATH, message="topk needs the share of values it keeps; add fraction: 0.01")
    if codec.delta is False:
        message = "topk codes differences only; remove it"
        yield Finding(path=(*_PATH, "delta"), message=message)


def _of_key(name: str, message: str) -> Finding:
    return Finding(path=(*_PATH, name), message=message, of_key=True)
