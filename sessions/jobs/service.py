"""What one may do with the jobs of a session, and with what they need. Decides the rules; knows no protocol, no SQL.

As everywhere, a request becomes a row. A session's state is of its statements: jobs do not make it busy,
but while some are unfinished it counts as used.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import BinaryIO

from gateway.core import clusters, names, paths
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError, InvalidRequest, NotFound, SessionEnded, refuse
from gateway.core.faults import Code, Fault
from gateway.core.identity import Principal
from gateway.core.settings import Settings
from gateway.core.waiting import Waiting
from sessions.jobs import uploads
from sessions.jobs.models import JOB_TYPES, Addition, SessionJob
from sessions.jobs.states import AdditionState
from sessions.jobs.store import JobStore
from sessions.models import Kind, Session
from sessions.service import SessionService
from sessions.states import SessionState

_ADD_PATIENCE = 8.0  # seconds that a request waits for an addition: Livy's Python client waits 10 for its answer


class JobService:
    def __init__(
        self, store: JobStore, sessions: SessionService, settings: Settings, clock: Clock, waiting: Waiting
    ) -> None:
        self._store, self._sessions = store, sessions
        self._settings, self._clock, self._waiting = settings, clock, waiting

    # ------------------------------------------------------------ jobs

    def submit(self, principal: Principal, ref: str, language: Kind, payload: str) -> SessionJob:
        """Queue a job; `payload` is base64 text. Raises InvalidRequest, SessionEnded, LimitReached, NotFound."""
        refuse([*_payload_faults(payload), *_type_faults(language)])
        return self._queue(principal, ref, language, payload)

    def query(self, principal: Principal, ref: str, sql: str, rows: int, most_bytes: int, seconds: float) -> SessionJob:
        """Queue a query as a job: one SQL statement, run in a Spark session of its own. Raises as `submit` does.

        Its result is JSON text in base64: `schema` in Spark's form, `data` with a list for each row, no more than
        `rows` and no more than `most_bytes` in all, and `truncated`: true if rows were left out. It fails when it runs
        for longer than `seconds`, whoever may still wait for it.
        """
        asked = json.dumps({"sql": sql, "rows": rows, "bytes": most_bytes, "seconds": seconds})
        return self._queue(principal, ref, Kind.SQL, base64.b64encode(asked.encode()).decode("ascii"))

    def _queue(self, principal: Principal, ref: str, language: Kind, payload: str) -> SessionJob:
        session = self._live(principal, ref)
        job = self._store.submit(
            session.id,
            language,
            payload,
            self._clock(),
            most_unfinished=self._settings.max_jobs_waiting,
            retained=self._settings.jobs_retained,
        )
        if job is None:
            raise SessionEnded(SessionState.DEAD.value)
        return job

    def find(self, principal: Principal, ref: str, number: int) -> SessionJob:
        """One job, also of a session that has ended; counts as activity. Raises NotFound."""
        return self._find(self._sessions.connect(principal, ref), number)

    def _find(self, session: Session, number: int) -> SessionJob:
        job = self._store.find(session.id, number) if number <= names.LARGEST_ID else None
        if job is None:
            raise NotFound("job", number)
        return job

    def take(self, principal: Principal, ref: str, number: int, patience: float) -> SessionJob:
        """One job once it has ended, and forget it; one that has not in `patience` seconds is cancelled instead.

        It is also when there is no place to wait at. Raises NotFound.
        """
        session = self._sessions.look(principal, ref)
        job = self._waiting.until(
            "job", lambda: self._find(session, number), lambda seen: seen.ended is not None, patience
        )
        if job.ended is None:
            self._store.cancel(session.id, number, self._clock())
        else:
            self._store.forget(session.id, number)
        return job

    def cancel(self, principal: Principal, ref: str, number: int) -> None:
        """Cancel a job; nothing happens when there is none or it has ended. Raises SessionEnded, NotFound."""
        session = self._live(principal, ref)
        self._store.cancel(session.id, number, self._clock())

    # ------------------------------------------------------------ additions

    def add(self, principal: Principal, ref: str, kind: str, uri: str) -> None:
        """Add a "jar", "pyfile" or "file" to the session, for jobs and statements from now on.

        Returns when it is there; at once while the driver starts: then a failure is told in the session's log.
        Raises InvalidRequest, SessionEnded, LimitReached, NotFound.
        """
        if not uri:
            fix = "give the path or URL of what is to be added"
            raise InvalidRequest(Fault("uri", Code.MISSING, "uri is empty", fix))
        session = self._live(principal, ref)
        here = clusters.chosen(session.options.conf, self._settings)
        refuse(paths.faults("uri", uri.split("#", 1)[0], self._settings, here))  # behind # Spark sees no path
        self._add(session, kind, uri, uri)

    def upload(self, principal: Principal, ref: str, kind: str, name: str, sent: BinaryIO) -> None:
        """As `add`, of a file that is sent; `name` is the client's. Raises TooLarge too."""
        safe = uploads.safe_name(name)
        session = self._live(principal, ref)
        self._sessions.keep_here(principal, ref)
        kept = uploads.keep(sent, safe, uploads.folder_of(self._settings, session.id), self._settings)
        try:
            self._add(session, kind, str(kept.path), safe)
        except GatewayError:
            if kept.is_new:
                uploads.drop(kept.path.parent)
            raise

    def _add(self, session: Session, kind: str, path: str, name: str) -> None:
        addition = self._store.add(
            session.id,
            kind,
            path,
            self._clock(),
            most_waiting=self._settings.max_jobs_waiting,
            retained=self._settings.jobs_retained,
        )
        if addition is None:
            raise SessionEnded(SessionState.DEAD.value)
        if session.state is not SessionState.STARTING:
            self._wait_for(addition, name)

    def _wait_for(self, addition: Addition, name: str) -> None:
        found = self._waiting.until(
            "addition",
            lambda: self._store.addition(addition.session, addition.id),
            lambda seen: seen is None or seen.state is not AdditionState.WAITING,
            _ADD_PATIENCE,
        )
        if found is None:
            raise SessionEnded(SessionState.DEAD.value)
        if found.state is AdditionState.FAILED:
            raise InvalidRequest(Fault(None, Code.MISFIT, f"{found.kind} {name} could not be added", found.error or ""))

    def _live(self, principal: Principal, ref: str) -> Session:
        session = self._sessions.connect(principal, ref)
        if session.state is SessionState.DEAD:
            raise SessionEnded(session.state.value)
        return session


def _payload_faults(payload: str) -> Iterator[Fault]:
    plain = "".join(payload.split())  # tools break base64 into lines, and Livy minds as little
    if not plain:
        yield Fault("job", Code.MISSING, "job is empty", "give the serialised job in base64")
    try:
        base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError) as error:
        yield Fault("job", Code.MISFIT, "job is not base64 text", str(error))


def _type_faults(language: Kind) -> Iterator[Fault]:
    if language not in JOB_TYPES:
        known = ", ".join(one.value for one in JOB_TYPES)
        reason = f"jobType {language.value} is not available here; the types that are"
        yield Fault("jobType", Code.MISFIT, reason, known, language.value)
