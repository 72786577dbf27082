"""Durations in Livy's grammar, and its words for what is none."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.core.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("10min", timedelta(minutes=10)),
        ("1h", timedelta(hours=1)),
        ("2d", timedelta(days=2)),
        ("250ms", timedelta(milliseconds=250)),
        ("1500us", timedelta(microseconds=1500)),
        ("600", timedelta(milliseconds=600)),
        ("0", timedelta(0)),
        (" 5S ", timedelta(seconds=5)),
        ("3H", timedelta(hours=3)),
        ("007s", timedelta(seconds=7)),
    ],
)
def test_a_duration_reads_as_livy_reads_it(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("10parsec", 'Invalid suffix: "parsec"'),
        ("abc", "Invalid time string: abc"),
        ("", 'Invalid time string: "'),
        ("-5", "Invalid value: -5"),
        ("-5s", "Invalid value: -5"),
        ("1.5h", "Invalid time string: 1.5h"),
        ("10 m", "Invalid time string: 10 m"),
        ("s", "Invalid time string: s"),
        ("٣s", "Invalid time string: ٣s"),
    ],
)
def test_what_is_no_duration_is_refused_in_livys_words(text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_duration(text)
    assert str(refused.value) == complaint


@pytest.mark.parametrize("text", ["9" * 30 + "d", "9" * 400, "9" * 400 + "us", "99999999999d"])
def test_a_duration_longer_than_a_life_is_a_long_one(text: str) -> None:
    assert timedelta(days=36000) < parse_duration(text) < timedelta(days=40000)
