"""Every error the gateway raises on purpose, with the HTTP status it deserves.

    GatewayError 500
    ├── InvalidRequest 400        what was asked cannot be done; has every fault that was found
    │   ├── DuplicateName         the name is taken
    │   └── LimitReached          too much of it already; says how much is allowed
    ├── Forbidden 403             asked by somebody who may not
    ├── NotFound 404              no such record
    ├── SessionEnded 409          the session takes no more work
    ├── TooLarge 413              the body is over the limit
    ├── QueryFailed 422           Spark did not answer a question; says why
    │   └── TookTooLong 504       not in the time that it may take
    ├── Unavailable 503           something outside is in the way, such as a full disk; says what
    └── Misconfigured             the program cannot start; never sent over HTTP

Protocols differ in status and shape: each translates these in its own folder under `compat/`.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.core.faults import Code, Fault


class GatewayError(Exception):
    """The root. `status` is the HTTP status a protocol without an opinion of its own answers with."""

    status = 500


class InvalidRequest(GatewayError):
    """`faults`: what is wrong, at least one, in the order it was found."""

    status = 400

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


def refuse(faults: Iterable[Fault]) -> None:
    """Raises InvalidRequest with all of the faults when there are any."""
    if found := tuple(faults):
        raise InvalidRequest(*found)


class DuplicateName(InvalidRequest):
    """`name` belongs to another live or listed record of the same kind."""

    def __init__(self, subject: str, name: str) -> None:
        super().__init__(Fault("name", Code.TAKEN, f"the {subject} name '{name}' is taken", "choose another", name))


class AlreadyExists(GatewayError):
    """The id that a client chose for a new record of this kind, `subject`, is taken."""

    status = 409

    def __init__(self, subject: str, ref: str) -> None:
        super().__init__(f"{subject.capitalize()} '{ref}' already exists: choose another id, or delete that one first")
        self.subject, self.ref = subject, ref


class LimitReached(InvalidRequest):
    """`limit` is how many there may be, where a protocol tells it."""

    def __init__(self, reason: str, limit: int | None = None) -> None:
        super().__init__(Fault(None, Code.LIMIT, reason))
        self.limit = limit


class Forbidden(GatewayError):
    status = 403


class NotFound(GatewayError):
    """No record of this kind, `subject`, answers to `ref` (an id or a name, as the client wrote it)."""

    status = 404

    def __init__(self, subject: str, ref: object) -> None:
        super().__init__(f"{subject.capitalize()} '{ref}' not found.")
        self.subject, self.ref = subject, ref


class SessionEnded(GatewayError):
    """The session is in `state` and takes no more statements."""

    status = 409

    def __init__(self, state: str) -> None:
        super().__init__(f"Session is in state {state}")
        self.state = state


class TooLarge(GatewayError):
    status = 413


class QueryFailed(GatewayError):
    """What was asked of Spark has no answer; the message is Spark's, or says what became of the query."""

    status = 422


class TookTooLong(QueryFailed):
    status = 504


class Unavailable(GatewayError):
    """The same request may succeed later. Nothing was done, unless only the answer of a remote store was lost."""

    status = 503


class Misconfigured(GatewayError):
    """The message names the setting or the missing thing, and the fix. Shown on the terminal, ends the start."""
