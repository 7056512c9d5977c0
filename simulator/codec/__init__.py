"""Codecs: how a model becomes bytes on the wire, and what the receiver gets back."""

from simulator.codec.tasks import MEASURE, TRANSMIT, packing_of, values_of
from simulator.codec.wire import HEADER_NBYTES, decode, encode, form_of, plain_nbytes

__all__ = [
    "HEADER_NBYTES",
    "MEASURE",
    "TRANSMIT",
    "decode",
    "encode",
    "form_of",
    "packing_of",
    "plain_nbytes",
    "values_of",
]
