"""Under which names the gateway answers, and to whose pages."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("name", ["gate.example", "GATE.Example:8998", "Gate.Example"])
def test_a_trusted_host_is_trusted_in_whatever_case(name: str, make_gateway) -> None:
    gateway = make_gateway(trusted_hosts=["Gate.Example"])
    assert gateway.send("GET", "/version", headers={"Host": name}).status_code == 200
    assert gateway.send("GET", "/version", headers={"Host": f"other.{name}"}).status_code == 400


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_pages_of_the_api_find_their_scripts_below_the_prefix(page: str, make_gateway) -> None:
    gateway = make_gateway(url_prefix="/livy")
    told = gateway.send("GET", f"/livy{page}").text
    assert '"/livy/docs/assets/' in told and '"/docs/assets/' not in told
