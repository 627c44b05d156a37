"""The catalog as clients see it."""

from __future__ import annotations

from typing import Any

import msgspec
import openai
import pytest
from tests.router.doubles import config, home, notes

from hoonify_router.api import Phase, Principal
from hoonify_router.config.model import ModelConfig, Pricing
from hoonify_router.types import Capabilities

from .conftest import OpenDoor

SETTINGS = msgspec.structs.replace(
    config(),
    models={
        "parrot": ModelConfig(
            "Nobody",
            4096,
            description="Says it again.",
            modalities=["text", "image"],
            pricing=Pricing(0.2, 0.6),
            created=1_760_000_000,
            backend="echo",
        ),
        "org/crow": ModelConfig("Somebody", 8192, backend="echo"),
    },
)


async def test_the_sdk_lists_models(open_up: OpenDoor) -> None:
    """In the order of the file, with what else is known of them."""
    door = await open_up(settings=SETTINGS)
    async with door.client() as client:
        models = [model async for model in client.models.list()]
    assert [model.id for model in models] == ["parrot", "org/crow"]
    assert models[0].owned_by == "Nobody"
    assert models[0].created == 1_760_000_000
    assert models[0].object == "model"
    _, _, told = await door.get("/v1/models")
    assert told["object"] == "list"
    assert told["data"][0] == {
        "id": "parrot",
        "object": "model",
        "created": 1_760_000_000,
        "owned_by": "Nobody",
        "context_length": 4096,
        "modalities": ["text", "image"],
        "state": "ready",
        "tasks": ["chat"],
        "description": "Says it again.",
        "pricing": {"input": 0.2, "output": 0.6},
    }
    assert told["data"][1]["state"] == "starting"
    assert "pricing" not in told["data"][1]


async def test_a_slash_at_the_end_is_forgiven(open_up: OpenDoor) -> None:
    """As at every other route: it is no model without a name."""
    door = await open_up(settings=SETTINGS)
    assert (await door.get("/v1/models/"))[::2] == (await door.get("/v1/models"))[::2]


async def test_a_model_tells_what_it_is_for(open_up: OpenDoor) -> None:
    """What any of its homes does, and the parameters that all of them honour."""
    can = [
        Capabilities(frozenset({"max_tokens", "seed"}), 4096, tasks=frozenset({"chat"})),
        Capabilities(frozenset({"seed", "stop"}), 4096, tasks=frozenset({"chat", "completion"})),
    ]
    homes = [home(id=f"parrot/{place}", capabilities=one) for place, one in enumerate([*can, None])]
    door = await open_up(homes=homes[:2])
    _, _, told = await door.get("/v1/models/parrot")
    assert told["tasks"] == ["chat", "completion"]
    assert told["parameters"] == ["seed"]
    door = await open_up(homes=homes[:1])
    _, _, told = await door.get("/v1/models/parrot")
    assert told["parameters"] == ["max_completion_tokens", "max_tokens", "seed"]
    door = await open_up(homes=homes)
    _, _, told = await door.get("/v1/models/parrot")
    assert "parameters" not in told, "one home decides itself"


@pytest.mark.parametrize(
    ("engines", "modalities"),
    [([True], ["text", "image"]), ([False], ["text"]), ([False, None], ["text", "image"])],
)
async def test_a_model_whose_homes_see_nothing_says_so(
    open_up: OpenDoor, engines: list[bool | None], modalities: list[str]
) -> None:
    """Though the catalog says that it takes images."""
    homes = [
        home(id=f"parrot/{place}", capabilities=Capabilities(frozenset(), 4096, images=sees))
        for place, sees in enumerate(engines)
    ]
    door = await open_up(homes=homes, settings=SETTINGS)
    _, _, told = await door.get("/v1/models/parrot")
    assert told["modalities"] == modalities


@pytest.mark.parametrize("model_id", ["parrot", "org/crow"])
async def test_the_sdk_retrieves_a_model(open_up: OpenDoor, model_id: str) -> None:
    """Also one with a slash in its name, however the client writes it."""
    door = await open_up(settings=SETTINGS)
    async with door.client() as client:
        assert (await client.models.retrieve(model_id)).id == model_id
    _, _, told = await door.get(f"/v1/models/{model_id}")
    assert told["id"] == model_id


async def test_an_unknown_model_is_404(open_up: OpenDoor) -> None:
    """With those that are close."""
    door = await open_up(settings=SETTINGS)
    async with door.client() as client:
        with pytest.raises(openai.NotFoundError, match="Did you mean 'parrot'") as caught:
            await client.models.retrieve("parot")
    assert caught.value.code == "model_not_found"


async def test_a_key_sees_its_own_models(open_up: OpenDoor) -> None:
    """The others it may not even look at."""

    def authenticate(ctx: Any) -> None:
        ctx.principal = Principal("k", models=("org/*",))

    middleware = [notes(Phase.AUTHENTICATE, "a", [], on_request=authenticate)]
    door = await open_up(None, middleware, settings=SETTINGS)
    _, _, told = await door.get("/v1/models")
    assert [model["id"] for model in told["data"]] == ["org/crow"]
    status, _, told = await door.get("/v1/models/parrot")
    assert status == 403
    assert told["error"]["code"] == "model_not_allowed"


async def test_head_tells_the_length_only(open_up: OpenDoor) -> None:
    """And leaves the connection in order."""
    door = await open_up()
    line = await door.line()
    for path in ("/v1/models", "/health", "/v1/models"):
        line.send(f"HEAD {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        status, headers = await line.head()
        assert status == 200
        assert int(headers["content-length"]) > 10
    line.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await line.answer())[2] == b'{"status":"ok"}'


async def test_health_says_that_the_process_lives(open_up: OpenDoor) -> None:
    """Whatever the homes do."""
    door = await open_up(homes=[home(state="failed")])
    assert (await door.get("/health"))[0] == 200


async def test_readiness_names_what_is_missing(open_up: OpenDoor) -> None:
    """Until everything that should always run does."""
    door = await open_up(homes=[home(state="loading")])
    status, headers, told = await door.get("/ready")
    assert (status, told) == (503, {"status": "waiting", "missing": ["parrot"]})
    assert headers["retry-after"] == "1"
    door.gateway.on_table(msgspec.convert({"generation": 2, "homes": []}, type=_table()))
    assert (await door.get("/ready"))[2]["missing"] == ["parrot"]
    ready = await open_up()
    assert (await ready.get("/ready"))[2] == {"status": "ready", "missing": []}


async def test_readiness_names_what_is_down_beside_what_serves(open_up: OpenDoor) -> None:
    """A home that has failed takes no others out of service."""
    twins = [home(id="parrot/0"), home(id="parrot/1", state="failed")]
    door = await open_up(homes=twins)
    assert await answer_of(door) == (200, {"status": "ready", "missing": ["parrot/1"]})
    alone = await open_up(homes=[home(state="failed")])
    assert await answer_of(alone) == (503, {"status": "waiting", "missing": ["parrot"]})


async def answer_of(door: Any) -> tuple[int, Any]:
    """Return what the readiness probe reads."""
    status, _, told = await door.get("/ready")
    return status, told


def _table() -> Any:
    from hoonify_router.types import RoutingTable

    return RoutingTable
