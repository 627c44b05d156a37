"""``/models`` and ``/models/{id}``: the catalog with prices and states, and a page for each model."""

from __future__ import annotations

from urllib.parse import unquote, urlencode

from sanic.request import Request
from sanic.response import HTTPResponse

from hoonify_plugins.pages.latency import LatencyReader
from hoonify_plugins.pages.listing import SORTS, condition, found, in_order, text_of
from hoonify_plugins.pages.parameters import rows_for
from hoonify_plugins.pages.samples import samples_for
from hoonify_plugins.pages.site import Site
from hoonify_router.api import Route

_LONGEST = 200


class ModelPages:
    """Answers with them.

    Args:
        site: What all pages share.
        latency: Knows how fast models were lately.
    """

    def __init__(self, site: Site, latency: LatencyReader) -> None:
        self._site = site
        self._latency = latency

    def routes(self) -> list[Route]:
        """Return the routes."""
        methods = ("GET", "HEAD")
        return [
            Route("/models", self.list, methods),
            Route("/models/<model_id:path>", self.show, methods),
        ]

    async def list(self, request: Request) -> HTTPResponse:
        """Show all models, or those that were searched for."""
        words = (request.args.get("q") or "")[:_LONGEST]
        provider = (request.args.get("provider") or "")[:_LONGEST]
        sort = request.args.get("sort") or ""
        descending = request.args.get("order") == "desc"
        listed = self._site.entries()
        shown = in_order(found(listed, words, provider), sort, descending)

        def link(column: str) -> str:
            turned = sort == column and not descending
            asked = {"q": words, "provider": provider, "sort": column}
            asked["order"] = "desc" if turned else ""
            return "/models?" + urlencode({name: value for name, value in asked.items() if value})

        return self._site.page(
            "models.html",
            here="models",
            listed=[(one, text_of(one)) for one in shown],
            total=len(listed),
            words=words,
            provider=provider,
            providers=sorted({one.config.provider for one in listed}),
            sort=sort if sort in SORTS else "",
            descending=descending,
            link=link,
        )

    async def show(self, request: Request, model_id: str) -> HTTPResponse:
        """Show one model."""
        name = unquote(model_id)
        if not name:
            return await self.list(request)
        one = next((one for one in self._site.entries() if one.id == name), None)
        if one is None:
            told = f"There is no model called “{name[:_LONGEST]}” here."
            return self._site.failure(404, "No such model", told)
        task = next((task for task in ("chat", "completion", "embedding") if task in one.tasks), "")
        return self._site.page(
            "model.html",
            here="models",
            one=one,
            task=task or "chat",
            homes=[(home, condition(home)) for home in one.homes],
            samples=samples_for(task or "chat", one.id, self._site.address(request)),
            rows=rows_for(task or "chat", one.parameters),
            latency=await self._latency.recent(one.id),
        )
