"""The admin routes of a real router reach its supervisor, from every gateway."""

from __future__ import annotations

import pytest

from .conftest import StartRouter
from .keyed import declared, key_of, line, settings

pytestmark = pytest.mark.slow  # it starts a router


def test_homes_are_told_to_admins_alone(start_router: StartRouter) -> None:
    """With what gateways do not need, and without any key of an engine's."""
    config = settings(
        declared("boss", "free", scopes=["admin"]),
        declared("guest", "free"),
        limits={"plans": {"free": {}}},
    )
    router = start_router(config, "--workers", "2")
    router.wait_ready()
    with line(router.port, key_of("boss")) as boss, line(router.port, key_of("guest")) as guest:
        told = boss.ask("GET", "/v1/admin/homes")
        assert told.status == 200
        parrot, gone = told.json["data"]
        assert (parrot["home"]["state"], gone["home"]["state"]) == ("ready", "unavailable")
        assert parrot["pid"] in router.engines()
        assert guest.ask("GET", "/v1/admin/homes").status == 403
    with line(router.port, None) as nobody:
        assert nobody.ask("GET", "/v1/admin/homes").status == 401
