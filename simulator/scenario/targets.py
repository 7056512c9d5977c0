"""Whom a line names: nodes by name, or all sites with a tag."""

from collections.abc import Iterable, Mapping, Sequence

from simulator.scenario.schema import Site

TAG = "tag:"
EVERY = "all"

Tags = Mapping[str, tuple[str, ...]]
"""Sites by tag, in the order of the scenario."""


def tags_of(sites: Iterable[Site]) -> Tags:
    """Return the sites of every tag; ``all`` is one that every site has."""
    sites = tuple(sites)
    found: dict[str, list[str]] = {EVERY: [site.name for site in sites]}
    for site in sites:
        for tag in dict.fromkeys(tag for tag in site.tags if tag != EVERY):
            found.setdefault(tag, []).append(site.name)
    return {tag: tuple(names) for tag, names in found.items()}


def as_list(named: str | Sequence[str] | None) -> list[str]:
    """Return what is named as written."""
    if named is None:
        return []
    return [named] if isinstance(named, str) else list(named)


def members(named: str | Sequence[str] | None, tags: Tags) -> tuple[str, ...]:
    """Return the nodes that are named, each once, in the order written; an unknown tag names nobody."""
    found: dict[str, None] = {}
    for name in as_list(named):
        inside = tags.get(name.removeprefix(TAG), ()) if name.startswith(TAG) else (name,)
        found.update(dict.fromkeys(inside))
    return tuple(found)
