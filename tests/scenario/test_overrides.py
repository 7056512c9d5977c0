import pytest

from tests.scenario.conftest import BASE


def scenario(load, *options, text=BASE):
    return load(text, *options).points[0].scenario


def test_values_are_yaml(load):
    changed = scenario(
        load, "algorithm={name: gossip, epochs: 4}", "task.patch_size=[8, 8]", "description=a: b=c",
        "task.strict=true", "task.optimizer.clip_norm=0.1", "stop.virtual_time=48 h",
    )  # fmt: skip
    assert changed.algorithm.epochs == 4
    assert changed.task.patch_size == (8, 8)
    assert changed.task.strict is True
    assert changed.stop.virtual_time == 48 * 3600.0


def test_later_options_win(load):
    assert scenario(load, "seed.network=2", "seed.network=3").seed.network == 3


@pytest.mark.parametrize("where", ["north", "0"])
def test_an_entry_by_name_or_number(load, where):
    changed = scenario(load, f"sites.{where}.link.up=8 bit/s")
    assert [site.link.up for site in changed.sites] == [1.0, 2.5e6]


def test_a_star_means_all_entries(load):
    changed = scenario(load, "sites.*.link.up=8 bit/s", "sites.south.link.up=16 bit/s")
    assert [site.link.up for site in changed.sites] == [1.0, 2.0]


GENERATED = BASE.replace("  - name: north\n", "  - name: north\n    generate: 3\n")


@pytest.mark.parametrize(
    ("option", "up"),
    [
        ("sites.north2.link.up=8 bit/s", [2.5e6, 1.0, 2.5e6, 2.5e6]),
        ("sites.0.link.up=8 bit/s", [1.0, 1.0, 1.0, 2.5e6]),
        ("sites.south.link.up=8 bit/s", [2.5e6, 2.5e6, 2.5e6, 1.0]),
        ("sites.*.link.up=8 bit/s", [1.0, 1.0, 1.0, 1.0]),
        ("sites.0.generate=1", [2.5e6, 2.5e6]),
    ],
)
def test_generated_sites_by_name_and_generators_by_number(load, option, up):
    assert [site.link.up for site in scenario(load, option, text=GENERATED).sites] == up


def test_a_single_generator(load):
    head, _, _ = BASE.partition("sites:")
    text = (
        head
        + "sites: {generate: 3, device: t4, link: {up: 1 B/s, down: 1 B/s, latency: 0 s}, data: {cases: 2}}\n"
    )
    text += "algorithm: {name: gossip, rounds: 2}\n"
    assert len(scenario(load, "sites.generate=5", text=text).sites) == 5
    named = scenario(load, "sites.site2.link.up=16 bit/s", text=text)
    assert [site.link.up for site in named.sites] == [1.0, 2.0, 1.0]
    for path in ("sites.link.up", "sites.*.link.up"):
        assert {site.link.up for site in scenario(load, f"{path}=24 bit/s", text=text).sites} == {3.0}
