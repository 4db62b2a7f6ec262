"""JSON Schemas of the files that people write, for editors: completion, explanation and a first check while typing.

They are made from the code that reads the files, and refuse nothing that it takes; what needs more than the one file (a role,
a mapping, an expression's names) `hub lint` and `hub test` say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping

from hub.connect.json_schema import DIALECT, Documented, Schema
from hub.connect.manifest import Manifest, ManifestError, OAuth2
from hub.connect.registry import Registry
from hub.flows.schema import flow_schema
from hub.mapping.schema import mapping_schema
from hub.workers import testfile
from hub.workers.admin import connections_file
from hub.workers.alerts import rules as alerts

_TEXT_OR_TEXTS: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_KINDS_OF_SETTING = {"text": "string", "int": "integer", "bool": "boolean"}


def schema(kind: str, registry: Registry) -> Schema:
    """The schema of one of `KINDS`; connectors and their settings are those of the registry."""
    return KINDS[kind](registry)


def text(kind: str, registry: Registry) -> str:
    """The same as the text of a file."""
    return json.dumps(schema(kind, registry), ensure_ascii=False, indent=2) + "\n"


def _connector(_registry: Registry) -> Schema:
    made = Manifest.model_json_schema(by_alias=True, schema_generator=Documented)
    return {"$schema": DIALECT, "title": "A connector of the hub", **made}


# -- tests of flows -----------------------------------------------------------------------------------------------------

_GIVEN_SAID = {
    "webhook": "A topic: a webhook comes in, from a file beside the test or written out.",
    "repeat": "The very same webhook again, by its place in `given`.",
    "manual": "A manual trigger with a record, or a list of them.",
    "read": "A record as the system has it now.",
    "sandbox": "A role: an action in its sandbox, `post`.",
    "poll": "A role: the hub asks what changed, and reads it.",
    "schedule": "A flow: the clock goes to its next tick.",
    "wait": "Seconds pass.",
    "alert": "A rule as in alerts.yaml, `{when, to}`: the hub looks whether it is to tell something.",
}
_GIVEN_TYPES = {"repeat": "integer", "wait": "integer"}


def _test(registry: Registry) -> Schema:
    role = {"enum": registry.names(), "description": "The connector whose sandbox plays it."}
    values: dict[str, Schema] = {
        "description": {"description": "What is tested, in a line."},
        "flows": {
            "description": "The flows that run; no others do.",
            "type": "array",
            "minItems": 1,
        },
        "roles": {
            "description": "Role: connector, each on its sandbox.",
            "type": "object",
            "additionalProperties": {
                "anyOf": [role, _object(testfile.ROLE, {"connector": role, "mode": {"enum": list(testfile.MODES)}})]
            },
        },
        "clock": {
            "description": "The instant at which it happens, with its offset: it stands still.",
            "type": "string",
        },
        "stock": {
            "description": "SKU: units in stock; the shop's sandbox sells them too.",
            "type": "object",
            "additionalProperties": {"anyOf": [_UNITS, _object(testfile.ITEM, {"quantity": _UNITS})]},
        },
        "tests": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/test"}},
    }
    case: dict[str, Schema] = {
        "given": {
            "description": "What happens, one after the other.",
            "type": "array",
            "items": {
                "anyOf": [
                    _object({kind, *more}, {kind: _given(kind)}, needed=[kind]) for kind, more in testfile.GIVEN.items()
                ]
            },
        },
        "answers": {
            "description": "What a sandbox answers instead.",
            "type": "array",
            "items": _object(testfile.ANSWER, {}),
        },
        "expect": {
            "description": "What is to come of it. A key that is absent is not checked; a list is complete, in any order.",
            **_object(testfile.EXPECTED, {name: _LIST for name in testfile.EXPECTED}),
            "minProperties": 1,
        },
    }
    return {
        "$schema": DIALECT,
        "title": "Tests of the hub's flows",
        **_object(testfile.FILE, values, needed=["flows", "tests"]),
        "$defs": {"test": _object(testfile.TEST, case, needed=["expect"])},
    }


#: a complete list, or items that are there among others
_LIST: Schema = {
    "anyOf": [
        {"type": "array"},
        {
            "type": "object",
            "properties": {"includes": {"type": "array"}},
            "required": ["includes"],
            "additionalProperties": False,
        },
    ]
}
_UNITS: Schema = {"type": "integer", "minimum": 0}


def _given(kind: str) -> Schema:
    said = {"description": _GIVEN_SAID[kind]} if kind in _GIVEN_SAID else {}
    return {**({"type": _GIVEN_TYPES[kind]} if kind in _GIVEN_TYPES else {}), **said}


# -- connections.yaml ---------------------------------------------------------------------------------------------------


def _connections(registry: Registry) -> Schema:
    settings = {}
    for connector in registry:
        try:
            settings[connector.name] = _settings(connector.manifest)
        except ManifestError:
            settings[connector.name] = {}  # `hub lint` says what is wrong with it
    values: dict[str, Schema] = {
        "connector": {"enum": registry.names(), "description": "The kind of system."},
        "mode": {
            "enum": [*connections_file.MODES, None],
            "description": "observe: events come in, nothing is sent; paused: what is planned waits; live.",
        },
        "go_live_at": {
            "type": ["string", "null"],
            "description": "Orders placed before it are read and never posted: 2026-11-24, or an instant with its offset.",
        },
        "settings": {"type": ["object", "null"], "description": "Its settings; secrets do not belong into this file."},
    }
    connection = _object(connections_file.KEYS, values, needed=["connector"])
    connection["allOf"] = [
        {"if": {"properties": {"connector": {"const": name}}}, "then": {"properties": {"settings": each}}}
        for name, each in settings.items()
    ]
    return {
        "$schema": DIALECT,
        "title": "Connections and roles of the hub",
        "type": ["object", "null"],
        "properties": {
            "connections": {
                "type": ["object", "null"],
                "description": "One entry a connection, by its name.",
                "propertyNames": {"pattern": f"^{connections_file.NAME.pattern}$"},
                "additionalProperties": connection,
            },
            "roles": {
                "type": ["object", "null"],
                "description": "The connections that play each role: one, or a list.",
                "propertyNames": {"pattern": f"^{connections_file.ROLE.pattern}$"},
                "additionalProperties": _TEXT_OR_TEXTS,
            },
        },
        "additionalProperties": False,
    }


def _settings(manifest: Manifest) -> Schema:
    """The settings that may stand in a file: no secrets, and those that connecting brings only if they are given."""
    sealed = manifest.secret_names()
    oauth = isinstance(manifest.auth, OAuth2)
    learned = set(manifest.auth.keep.values()) if isinstance(manifest.auth, OAuth2) else set()
    properties: dict[str, Schema] = {
        "environment": {"enum": list(manifest.base_urls)} if manifest.base_urls else {},
        "base_url": {"description": "Another address than that of the environment."},
        "grant": {"description": "How it is authorized, where there are several ways."},
        **({"client_id": {"description": "The id of your app there."}} if oauth else {}),
    }
    needed = []
    for name, setting in manifest.settings.items():
        if name in sealed:
            continue
        said: Schema = {"description": setting.help} if setting.help else {}
        if setting.default is not None:
            said["default"] = setting.default
        choices: Schema = {"enum": [*setting.choices, None]} if setting.choices else {}
        properties[name] = {"type": [_KINDS_OF_SETTING[setting.type], "null"], **choices, **said}
        if setting.required and setting.default is None and name not in learned:
            needed.append(name)
    return _object(properties, properties, needed=needed, null=True)


def _object(
    keys: Collection[str], values: Mapping[str, Schema], *, needed: Collection[str] = (), null: bool = False
) -> Schema:
    """An object with these keys and no others."""
    return {
        "type": ["object", "null"] if null and not needed else "object",
        "properties": {key: values.get(key, {}) for key in [*values, *sorted(set(keys) - set(values))]},
        "required": list(needed),
        "additionalProperties": False,
    }


KINDS: Mapping[str, Callable[[Registry], Schema]] = {
    "flow": lambda _registry: flow_schema(),
    "mapping": lambda _registry: mapping_schema(),
    "connector": _connector,
    "test": _test,
    "connections": _connections,
    "alerts": lambda _registry: alerts.schema(),
}
