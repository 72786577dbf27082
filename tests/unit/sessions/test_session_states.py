"""Every store verb from every state: a move is made exactly when the table of moves has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.core.store.database import Database
from gateway.stores import Stores
from sessions.drivers.models import Driver
from sessions.drivers.states import DRIVER_MOVES, DriverState
from sessions.drivers.store import DriverStore
from sessions.models import Session
from sessions.statements.states import STATEMENT_MOVES, StatementState
from sessions.statements.store import StatementStore
from sessions.states import SESSION_MOVES, SessionState
from sessions.store import SessionStore

pytestmark = pytest.mark.both_stores

STORED = [state for state in SessionState if state is not SessionState.BUSY]


def force(db: Database, table: str, state: str, **where: Any) -> None:
    """Put a record into a state, whatever it was."""
    condition = " AND ".join(f"{name} = :{name}" for name in where)
    assert db.run(f"UPDATE {table} SET state = :state WHERE {condition}", {"state": state, **where}) == 1


def test_every_state_has_its_row_in_its_table() -> None:
    assert set(SESSION_MOVES) == set(STORED)
    assert set(STATEMENT_MOVES) == set(StatementState)
    assert set(DRIVER_MOVES) == set(DriverState)


@pytest.mark.parametrize("moves", [SESSION_MOVES, STATEMENT_MOVES, DRIVER_MOVES])
def test_every_state_can_be_reached_and_left_unless_it_is_the_end(moves: dict[Any, set[Any]]) -> None:
    first, *others = moves
    assert set().union(*moves.values()) - {first} == set(others)
    assert first in moves


# ---------------------------------------------------------------- sessions


def session_verbs(db: Database, session: Session, clock: Any) -> dict[str, Callable[[], object]]:
    made = Stores(db, "here")
    store, statements = made.sessions, made.statements
    driver = Driver.wanted(session.folder.parents[1], session.options, clock())
    return {
        "restart": lambda: store.restart(session, driver, "why", 0, clock()),
        "become_idle": lambda: store.become_idle(clock()),
        "end": lambda: store.end(session.id, "why", clock()),
        "touch": lambda: store.touch(session.id, clock(), activity=True),
        "submit": lambda: statements.submit(session.id, "1", "sql", clock(), most_unfinished=9, retained=9),
    }


@pytest.mark.parametrize("before", STORED)
@pytest.mark.parametrize("verb", ["become_idle", "end", "touch", "submit", "restart"])
def test_no_verb_moves_a_session_against_the_table(
    before: SessionState, verb: str, db: Database, add_session, driver_store, clock
) -> None:
    session = add_session(permanent=True)
    driver_store.launch(session.driver, session.folder, clock())
    driver_store.ready(session.driver, None, None, clock())
    force(db, "sessions", before.value, id=session.id)
    session_verbs(db, session, clock)[verb]()
    after = SessionState(db.value("SELECT state FROM sessions"))
    assert after is before or after in SESSION_MOVES[before]


def test_every_move_of_a_session_in_the_table_is_made_by_some_verb(
    db: Database, session_store: SessionStore, add_session, driver_store, clock
) -> None:
    seen: dict[SessionState, set[SessionState]] = {state: set() for state in STORED}
    for before in STORED:
        for verb in ("become_idle", "end", "restart"):
            session = add_session(permanent=True)
            driver_store.launch(session.driver, session.folder, clock())
            driver_store.ready(session.driver, None, None, clock())
            force(db, "sessions", before.value, id=session.id)
            session_verbs(db, session, clock)[verb]()
            after = SessionState(db.value("SELECT state FROM sessions WHERE id = :id", {"id": session.id}))
            seen[before] |= {after} - {before}
            session_store.remove(session.id, "", clock())
    assert seen == SESSION_MOVES


# ---------------------------------------------------------------- statements


def statement_verbs(db: Database, session: int, clock: Any) -> dict[str, Callable[[], object]]:
    store = StatementStore(db, "here")
    return {
        "claim": lambda: store.claim(clock()),
        "cancel": lambda: store.cancel(session, 0, clock()),
        "finish": lambda: store.finish(session, 0, "{}", clock(), clock()),
        "end": lambda: Stores(db, "here").sessions.end(session, "why", clock()),
        "set_progress": lambda: store.set_progress(session, 0, 0.5),
        "submit": lambda: store.submit(session, "1", "sql", clock(), most_unfinished=9, retained=9),
    }


STATEMENT_VERBS = ["claim", "cancel", "finish", "end", "set_progress", "submit"]


def state_after(before: StatementState, verb: str, db: Database, session: int, clock: Any) -> Any:
    StatementStore(db, "here").submit(session, "1", "sql", clock(), most_unfinished=9, retained=9)
    force(db, "statements", before.value, session=session, id=0)
    statement_verbs(db, session, clock)[verb]()
    return StatementState(db.value("SELECT state FROM statements WHERE session = :s AND id = 0", {"s": session}))


@pytest.mark.parametrize("before", StatementState)
@pytest.mark.parametrize("verb", STATEMENT_VERBS)
def test_no_verb_moves_a_statement_against_the_table(
    before: StatementState, verb: str, db: Database, idle_session: Session, clock
) -> None:
    after = state_after(before, verb, db, idle_session.id, clock)
    assert after is before or after in STATEMENT_MOVES[before]


def test_every_move_of_a_statement_in_the_table_is_made_by_some_verb(
    db: Database, session_store: SessionStore, add_session, make_ready, clock
) -> None:
    seen: dict[StatementState, set[StatementState]] = {state: set() for state in StatementState}
    for before in StatementState:
        for verb in STATEMENT_VERBS:
            session = add_session()
            make_ready(session)
            seen[before] |= {state_after(before, verb, db, session.id, clock)} - {before}
            session_store.remove(session.id, "", clock())
    assert seen == STATEMENT_MOVES


@pytest.mark.parametrize("before", [StatementState.AVAILABLE, StatementState.CANCELLED])
@pytest.mark.parametrize("verb", STATEMENT_VERBS)
def test_a_finished_statement_keeps_its_output_for_ever(
    before: StatementState,
    verb: str,
    db: Database,
    statement_store: StatementStore,
    idle_session: Session,
    clock,
) -> None:
    statement_store.submit(idle_session.id, "1", "sql", clock(), most_unfinished=9, retained=9)
    force(db, "statements", before.value, session=idle_session.id, id=0)
    db.run("UPDATE statements SET output = '\"kept\"', completed = created, progress = 1.0")
    row = db.row("SELECT * FROM statements WHERE id = 0")
    clock.advance(seconds=1)
    statement_verbs(db, idle_session.id, clock)[verb]()
    assert db.row("SELECT * FROM statements WHERE id = 0") == row


# ---------------------------------------------------------------- drivers


def driver_verbs(store: DriverStore, driver: str, clock: Any) -> dict[str, Callable[[], object]]:
    return {
        "launch": lambda: store.launch(driver, Path("/drivers/1"), clock()),
        "warm": lambda: store.warm(driver, "app", None, clock()),
        "ready": lambda: store.ready(driver, "app", None, clock()),
        "settled": lambda: store.settled(driver, clock()),
        "gone": lambda: store.gone(driver, "why", clock()),
        "give_up": lambda: store.give_up(driver, "why"),
        "remove": lambda: store.remove(driver),
    }


DRIVER_VERBS = ["launch", "warm", "ready", "settled", "gone", "give_up"]


@pytest.mark.parametrize("target", ["ready", "warm", "gone"])
@pytest.mark.parametrize("before", DriverState)
@pytest.mark.parametrize("verb", DRIVER_VERBS)
def test_no_verb_moves_a_driver_against_the_table(
    before: DriverState, verb: str, target: str, db: Database, driver_store: DriverStore, add_session, clock
) -> None:
    driver = add_session().driver
    db.run("UPDATE drivers SET state = :state, target = :target", {"state": before.value, "target": target})
    driver_verbs(driver_store, driver, clock)[verb]()
    after = DriverState(db.value("SELECT state FROM drivers"))
    assert after is before or after in DRIVER_MOVES[before]
    if target == "gone":
        assert after in (before, DriverState.GONE), "what is not wanted any more does not go on"
    if target == "warm":
        assert after is before or after is not DriverState.READY, "what nobody has claimed is nobody's"


def test_every_move_of_a_driver_in_the_table_is_made_by_some_verb(
    db: Database, driver_store: DriverStore, add_session, clock
) -> None:
    seen: dict[DriverState, set[DriverState]] = {state: set() for state in DriverState}
    for before in DriverState:
        for verb in DRIVER_VERBS:
            driver = add_session().driver
            force(db, "drivers", before.value, id=driver)
            driver_verbs(driver_store, driver, clock)[verb]()
            after = DriverState(db.value("SELECT state FROM drivers WHERE id = :id", {"id": driver}))
            seen[before] |= {after} - {before}
    assert seen == DRIVER_MOVES


@pytest.mark.parametrize("state", [state for state in DriverState if state is not DriverState.GONE])
def test_a_driver_that_may_still_run_is_not_forgotten(
    state: DriverState, db: Database, driver_store: DriverStore, add_session, session_store, clock
) -> None:
    session = add_session()
    session_store.remove(session.id, "", clock())
    force(db, "drivers", state.value, id=session.driver)
    assert driver_store.unclaimed() == []
    driver_store.remove(session.driver)
    assert db.value("SELECT count(*) FROM drivers") == 1


def test_the_reason_of_a_drivers_end_is_the_first_one_given(driver_store: DriverStore, add_session, db, clock) -> None:
    driver = add_session().driver
    driver_store.give_up(driver, "too slow")
    driver_store.gone(driver, "killed", clock())
    assert db.value("SELECT reason FROM drivers") == "too slow"
