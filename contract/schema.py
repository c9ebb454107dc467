"""JSON Schema of every event, generated from the Structs.

python -m contract.schema            # write sdk/schema/events.v1.json
python -m contract.schema --check    # exit 1 when that file is stale
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from contract.events import STAMPED_FIELDS, STRUCTS
from contract.meanings import meaning

PATH = Path(__file__).resolve().parent.parent / "sdk" / "schema" / "events.v1.json"


def schema() -> dict[str, Any]:
    """Return the schema of one event on the wire: a union on `type`, without the fields the appender stamps."""
    refs, components = msgspec.json.schema_components(list(STRUCTS.values()), ref_template="#/$defs/{name}")
    for event_type, cls in STRUCTS.items():
        properties = components[cls.__name__]["properties"]
        for field in STAMPED_FIELDS:
            properties.pop(field, None)
        for name, shape in properties.items():
            limit = f": {shape['description']}" if "description" in shape else ""
            properties[name] = shape | {"description": meaning(event_type, name).en + limit}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Thumbwheel events v1",
        "oneOf": list(refs),
        "$defs": dict(sorted(components.items())),
    }


def rendered() -> bytes:
    """Return the schema as the bytes the file holds."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2) + b"\n"


def main(argv: list[str]) -> int:
    """Write the file, or check it."""
    if "--check" in argv:
        return 0 if PATH.exists() and PATH.read_bytes() == rendered() else 1
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_bytes(rendered())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
