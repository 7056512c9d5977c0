"""The JSON Schema of scenario files, for editors."""

from typing import Any

from simulator.scenario.advise import SECTION, Advise
from simulator.scenario.generate import MAX_SITES
from simulator.scenario.schema import scenario_model

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_VALUES = {"type": ["array", "string", "number", "boolean", "object"]}
_SWEEP = {
    "description": "a grid: dotted keys with lists of values, ranges {from, to, num or step}, or seeds: "
    "'seed.network: 6 seeds' means 1 to 6",
    "type": "object",
    "properties": {
        "zip": {"description": "keys that vary together, or a list of such", "type": ["object", "array"]},
        "where": {
            "description": "rules: points that are all 'if' says are kept only if they are all 'only' says",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"if": {"type": "object"}, "only": {"type": "object"}},
                "required": ["only"],
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": _VALUES,
}
_INCLUDE = {
    "description": "files of the scenario's folder to merge in; this file wins over them",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a scenario file over everything that is registered.

    It allows what the loader resolves: ``include``, ``sweep`` and generators of sites. Keys are
    required only in a file that neither includes others nor sweeps, because those may bring them.
    """
    schema = scenario_model().model_json_schema(mode="validation", by_alias=True)
    schema["$schema"] = DIALECT
    schema["title"] = "medgossip scenario"
    definitions = schema["$defs"]
    definitions["SiteGenerator"] = _generator(definitions["Site"])
    site = {"anyOf": [{"$ref": "#/$defs/Site"}, {"$ref": "#/$defs/SiteGenerator"}]}
    schema["properties"]["sites"] = {
        "description": "a list of sites and generators of sites, or one generator",
        "anyOf": [{"type": "array", "minItems": 1, "items": site}, {"$ref": "#/$defs/SiteGenerator"}],
    }
    schema["properties"]["sweep"] = _SWEEP
    schema["properties"]["include"] = _INCLUDE
    advise = Advise.model_json_schema(mode="validation", by_alias=True, ref_template="#/$defs/{model}")
    definitions |= advise.pop("$defs")
    schema["properties"][SECTION] = advise
    complete = {
        "required": schema.pop("required"),
        "properties": {"task": {"required": definitions["Task"].pop("required")}},
    }
    schema["anyOf"] = [complete, {"required": ["include"]}, {"required": ["sweep"]}]
    return schema


def _generator(site: dict[str, Any]) -> dict[str, Any]:
    """A site whose values may be distributions, with ``generate``."""
    properties = {
        name: {"description": f"as of a site, or a distribution such as {example}"}
        for name, example in (
            ("device", "choice(rtx-3090, t4)"),
            ("speed", "uniform(2 TFLOP/s, 8 TFLOP/s)"),
            ("seconds_per_item", "lognormal(120 ms, 0.3)"),
        )
    }
    anything = {"type": "object", "description": "as of a site; values may be distributions"}
    return {
        "description": "sites by the dozen; every value is drawn for each site from a stream of its own",
        "type": "object",
        "properties": {
            "generate": {"type": "integer", "minimum": 1, "maximum": MAX_SITES},
            "name": {"type": "string", "description": "the sites are called name1, name2, …"},
            **properties,
            "link": anything,
            "data": anything,
            "position": anything,
            "network": site["properties"]["network"],
            "availability": site["properties"]["availability"],
            "checkpoint": site["properties"]["checkpoint"],
        },
        "required": ["generate", "link"],
        "additionalProperties": False,
    }
