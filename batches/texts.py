"""The texts in which batches are sought: what may be shown of each, and every SQL of their table.

What is hidden is not in a text, so that no search gives it away piece by piece. Knows no rule of who sees what.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping

from batches.models import BatchRequest
from gateway.core.options import redact, redact_args
from gateway.core.store.database import Database


class BatchTexts:
    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, batch: int, uuid: str, request: BatchRequest) -> None:
        self._db.run(
            "INSERT INTO batch_texts (rowid, text) VALUES (:id, :text)", {"id": batch, "text": text_of(uuid, request)}
        )

    def remove(self, batch: int) -> None:
        self._db.run("DELETE FROM batch_texts WHERE rowid = :id", {"id": batch})

    def search(self, pattern: str, where: str, values: Mapping[str, object], most: int) -> list[int]:
        """The newest `most` batches with such a text, newest first, for which the condition of SQL holds too."""
        rows = self._db.rows(
            # CROSS JOIN: the texts first, in order, so that they are read no further than needed
            "SELECT batches.id FROM batch_texts AS texts CROSS JOIN batches WHERE batches.id = texts.rowid"
            f" AND texts.text LIKE :pattern AND {where} ORDER BY texts.rowid DESC LIMIT :most",
            {"pattern": pattern, "most": most, **values},
        )
        return [row["id"] for row in rows]

    def search_few(self, pattern: str, ids: str, values: Mapping[str, object]) -> list[int]:
        """Those with such a text, newest first, of the few whose ids the SQL `ids` gives."""
        rows = self._db.rows(
            # a text that is computed: else the index would be asked for all that have it
            f"SELECT texts.rowid AS id FROM batch_texts AS texts WHERE texts.rowid IN ({ids})"
            " AND texts.text || '' LIKE :pattern ORDER BY texts.rowid DESC",
            {"pattern": pattern, **values},
        )
        return [row["id"] for row in rows]


def text_of(uuid: str, request: BatchRequest) -> str:
    """The UUID and the request as JSON, without its secrets."""
    options = dataclasses.replace(request.options, conf=redact(request.options.conf))
    shown = dataclasses.replace(request, options=options, args=redact_args(request.args))
    asked = {name: value for name, value in dataclasses.asdict(shown).items() if name != "kind"}  # nobody asks for it
    return _folded(uuid + json.dumps(asked, ensure_ascii=False))


def pattern_of(text: str) -> str:
    """What finds `text` anywhere, whatever its case; its own % and _ are wildcards."""
    return _folded(f"%{json.dumps(text, ensure_ascii=False)[1:-1]}%")


def is_indexed(pattern: str) -> bool:
    """Whether an index of all three characters in a row serves the pattern."""
    return re.search("[^%_]{3}", pattern) is not None


def _folded(json_text: str) -> str:
    """As databases agree on it: in lower case, another sign for JSON's backslash, halves of characters written out."""
    return json_text.lower().encode("utf-8", "backslashreplace").decode("utf-8").replace("\\", "\x01")
