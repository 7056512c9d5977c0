import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.scenario import reading
from simulator.scenario.locate import Place, plain


def read(text, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return reading.read_file(path, "x.yaml", tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("-3", -3), ("0o17", 15), ("0x1F", 31), ("017", 17), ("1_000", "1_000"),
        ("1e-3", 1e-3), (".5", 0.5), ("3.", 3.0), (".inf", math.inf), ("-.INF", -math.inf),
        ("true", True), ("False", False), ("on", "on"), ("yes", "yes"),
        ("null", None), ("~", None), ("", None),
        ("18:00-06:00", "18:00-06:00"), ("3:25", "3:25"), ("20 Mbit/s", "20 Mbit/s"),
        ("'12'", "12"), ('"true"', "true"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text, value, tmp_path):
    found = plain(read(f"a: {text}\n", tmp_path))["a"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number(tmp_path):
    assert math.isnan(plain(read("a: .nan\n", tmp_path))["a"])


def test_every_value_and_key_knows_its_place(tmp_path):
    root = read("a: 1\nb:\n  - {c: x}\n", tmp_path)
    inner = root.keys["b"].items[0].keys["c"]
    assert str(inner.place) == "x.yaml:3:9"
    assert str(inner.key) == "x.yaml:3:6"
    assert str(root.keys["b"].key) == "x.yaml:2:1"


def test_an_alias_stands_where_it_is_used(tmp_path):
    root = read("a: &q {b: 1}\nc: *q\n", tmp_path)
    assert plain(root) == {"a": {"b": 1}, "c": {"b": 1}}
    assert str(root.keys["c"].key) == "x.yaml:2:1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: " + b"[" * 40 + b"]" * 40, "x.yaml:1:33: nested deeper than 30 levels; flatten it"),
        (b"[" + b"1," * 100_001 + b"]", "x.yaml:1:200000: more than 100,000 values; write fewer"),
        (b"#" * 1_000_001, "x.yaml: more than 1,000,000 bytes; split it or generate the sites"),
        (b"a: \xff", "x.yaml: byte 3 is not UTF-8; save the file as UTF-8"),
        (b"a: \x07", "x.yaml: not YAML: unacceptable character #x0007: special characters are not allowed"),
        (b'a: "\\ud800"', "x.yaml:1:4: half of a surrogate pair; write the character itself"),
        (
            b"a: &a 1\nb: [" + b"*a," * 1001 + b"]",
            "x.yaml:2:3005: more than 1,000 aliases; write the values out",
        ),
    ],
    ids=["depth", "values", "size", "encoding", "control", "surrogate", "aliases"],
)
def test_limits(text, message, tmp_path):
    with pytest.raises(ScenarioError) as caught:
        read(text, tmp_path)
    assert str(caught.value) == message


def test_a_bomb_of_aliases_is_refused_at_once(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]
    begun = time.process_time()
    with pytest.raises(ScenarioError, match=r"^x.yaml:5:\d+: more than 100,000 values, aliases expanded"):
        read("\n".join(lines), tmp_path)
    assert time.process_time() - begun < 3


def test_aliases_cannot_pass_the_limit_of_depth(tmp_path):
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 40))]
    with pytest.raises(ScenarioError, match="nested deeper than 30 levels"):
        read("\n".join(lines), tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ScenarioError, match=r"^x.yaml: cannot be read: No such file"):
        reading.read_file(tmp_path / "none.yaml", "x.yaml", tmp_path)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_message(text):
    place = Place(source="--set", folder=None)
    try:
        plain(reading.read_value(text, place))
        message = "--set: read"
    except ScenarioError as error:
        message = str(error)
    assert message.startswith("--set: ")
