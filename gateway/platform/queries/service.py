"""Asks Spark on the gateway's own behalf: by a service session, one of each cluster, started when it is first asked.

Decides when there is one, and what becomes of a query that takes too long. A query is a job of it, because jobs run
side by side, each with a cancel of its own. Refuses to know SQL: whoever asks writes it, and only to read.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from gateway.core import clusters
from gateway.core.clock import Clock
from gateway.core.errors import (
    AlreadyExists,
    GatewayError,
    LimitReached,
    NotFound,
    QueryFailed,
    SessionEnded,
    TookTooLong,
    Unavailable,
    refuse,
)
from gateway.core.identity import GATEWAY, Principal
from gateway.core.options import SparkOptions
from gateway.core.settings import Settings
from gateway.platform.queries.models import STANDARD, Answer, Limits
from sessions.jobs.models import SessionJob
from sessions.jobs.service import JobService
from sessions.models import Kind, Session, SessionRequest
from sessions.service import SessionService
from sessions.states import SessionState

log = logging.getLogger(__name__)

# Spark refuses a result that is larger before the driver's memory has it.
_CONF = {"spark.app.name": "spark-gateway-queries", "spark.driver.maxResultSize": "128m"}


class QueryService:
    """Holds nothing: the service session is found in the store, by an id that no client can choose."""

    def __init__(self, sessions: SessionService, jobs: JobService, settings: Settings, clock: Clock) -> None:
        self._sessions, self._jobs, self._settings, self._clock = sessions, jobs, settings, clock

    def ask(self, principal: Principal, cluster: str, sql: str, limits: Limits = STANDARD) -> Answer | None:
        """What one SQL statement answers, which only reads; None while the service session starts: ask again.

        Raises QueryFailed, TookTooLong, Unavailable, and InvalidRequest for an unknown cluster.
        """
        try:
            session = self._session(cluster)
            if session is None or session.state is SessionState.STARTING:
                return None
            return self._answer(principal, str(session.id), sql, limits)
        except (SessionEnded, NotFound):
            return None  # it ended just now, and the next question starts another
        except LimitReached as error:  # of sessions or of jobs, which whoever asks cannot mend
            raise Unavailable(str(error)) from error

    def _answer(self, principal: Principal, session: str, sql: str, limits: Limits) -> Answer:
        begun = self._clock()
        job = self._jobs.query(GATEWAY, session, sql, limits.rows, limits.bytes, limits.seconds)
        ended = self._jobs.take(GATEWAY, session, job.id, limits.seconds)
        if ended.ended is None:
            waited = (self._clock() - begun).total_seconds()
            raise self._given_up(principal, ended, waited, limits)
        if ended.result is None:
            raise QueryFailed(ended.error or "the query was cancelled")
        return Answer.of(ended.result)

    # ------------------------------------------------------------ the service session

    def _session(self, cluster: str) -> Session | None:
        """The cluster's, in whatever state but dead; None: it has been asked for just now."""
        chosen = f"queries/{cluster}"
        with suppress(NotFound):
            session = self._sessions.look(GATEWAY, self._sessions.reference(GATEWAY, chosen))
            if session.state is not SessionState.DEAD:
                return session
            self._sessions.delete(GATEWAY, str(session.id))
            if session.app_id is None:  # or it would be tried again and again
                raise Unavailable(f"Spark does not start to answer this: {session.reason}")
        self._open(cluster, chosen)
        return None

    def _open(self, cluster: str, chosen: str) -> None:
        conf = {**_CONF, clusters.KEY: cluster}
        refuse(clusters.faults(conf, self._settings))
        with suppress(AlreadyExists):  # another process was first
            opened = self._sessions.open(GATEWAY, SessionRequest(Kind.SQL, SparkOptions(conf=conf)), chosen)
            log.info("opened to answer queries on %s", cluster, extra={"session": opened.id, "action": "open"})

    def _given_up(self, principal: Principal, job: SessionJob, waited: float, limits: Limits) -> GatewayError:
        if waited < limits.seconds / 2:
            return Unavailable("too many ask at the same time: ask again in a moment")
        told = {"session": job.session, "user": principal.user, "action": "query"}
        log.warning("query %d took more than %g s and is cancelled", job.id, limits.seconds, extra=told)
        return TookTooLong(f"there was no answer within {limits.seconds:g} s, and the query was cancelled")
