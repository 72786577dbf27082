"""How a path refers to a record: digits are an id, everything else a name."""

from __future__ import annotations

import pytest

from gateway.core import names
from gateway.core.errors import InvalidRequest
from gateway.core.faults import Code


@pytest.mark.parametrize(("ref", "expected"), [("0", 0), ("12", 12), ("007", 7), ("2147483647", 2**31 - 1)])
def test_digits_are_an_id(ref: str, expected: int) -> None:
    assert names.as_reference(ref) == expected


@pytest.mark.parametrize("ref", ["nightly", "-1", "1a", " 1", "1.0", "", "٣", "²", "+1"])
def test_everything_else_is_a_name(ref: str) -> None:
    assert names.as_reference(ref) == ref


@pytest.mark.parametrize("ref", ["2147483648", "99999999999", "9" * 5000])
def test_a_number_too_large_for_an_id_is_refused(ref: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        names.as_reference(ref)
    (fault,) = refused.value.faults
    assert (fault.code, fault.value) == (Code.NOT_WHOLE, ref)


@pytest.mark.parametrize("name", ["", "0", "123", ".", ".."])
def test_a_name_that_cannot_be_asked_for_is_refused(name: str) -> None:
    (fault,) = names.faults("session", name)
    assert (fault.field, fault.code, fault.value) == ("name", Code.NAME, name)


@pytest.mark.parametrize("name", [None, "a", "-1", "1a", "ünï", "a/b", "1 2", "...", "/"])
def test_any_other_name_is_fine(name: str | None) -> None:
    assert list(names.faults("session", name)) == []
