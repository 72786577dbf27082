"""The text in which a batch is sought: what may be shown of it. Knows no SQL but the wildcards of LIKE.

What is hidden is not in the text, so that no search gives it away piece by piece.
"""

from __future__ import annotations

import dataclasses
import json
import re

from batches.models import BatchRequest
from gateway.core.options import redact, redact_args


def text_of(uuid: str, request: BatchRequest) -> str:
    """The UUID and the request as JSON, without its secrets."""
    options = dataclasses.replace(request.options, conf=redact(request.options.conf))
    shown = dataclasses.replace(request, options=options, args=redact_args(request.args))
    return _folded(uuid + json.dumps(dataclasses.asdict(shown), ensure_ascii=False))


def pattern_of(text: str) -> str:
    """What finds `text` anywhere, whatever its case; its own % and _ are wildcards."""
    return _folded(f"%{json.dumps(text, ensure_ascii=False)[1:-1]}%")


def is_indexed(pattern: str) -> bool:
    """Whether an index of all three characters in a row serves the pattern."""
    return re.search("[^%_]{3}", pattern) is not None


def _folded(json_text: str) -> str:
    """As databases agree on it: in lower case, another sign for JSON's backslash, halves of characters written out."""
    return json_text.lower().encode("utf-8", "backslashreplace").decode("utf-8").replace("\\", "\x01")
