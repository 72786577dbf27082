"""Moments as text: what is later is greater, and nothing is lost on the way."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from gateway.core import clock

MOMENTS = [
    datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    datetime(2026, 1, 2, 3, 4, 5, 1, tzinfo=timezone.utc),
    datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=timezone.utc),
    datetime(2026, 1, 2, 3, 4, 6, tzinfo=timezone.utc),
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_moment_comes_back_from_its_text(moment: datetime) -> None:
    assert clock.from_text(clock.to_text(moment)) == moment


def test_the_order_of_texts_is_the_order_of_moments() -> None:
    texts = [clock.to_text(moment) for moment in MOMENTS]
    assert texts == sorted(texts)


def test_a_moment_of_another_zone_is_kept_in_utc() -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    assert clock.to_text(MOMENTS[0].astimezone(there)) == clock.to_text(MOMENTS[0])


def test_now_is_aware() -> None:
    assert clock.utc_now().tzinfo is not None


def test_milliseconds_are_zero_until_the_moment_has_come() -> None:
    assert clock.to_milliseconds(None) == 0
    assert clock.to_milliseconds(clock.from_milliseconds(1795225518313)) == 1795225518313
