"""Documents as JSON text."""

from __future__ import annotations

import json

compact = json.JSONEncoder(separators=(",", ":")).encode
"""The text of a document on one line, without spaces: as all of them go over the wire."""

JSON_TYPE = "application/json;charset=utf-8"
