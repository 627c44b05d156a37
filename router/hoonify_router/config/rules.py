"""What types alone cannot say: names that must exist, lines that exclude each other, options of backends."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec import inspect as mi

from hoonify_router.config.checker import Checker
from hoonify_router.config.demand_rules import DemandRules
from hoonify_router.config.model import (
    MAX_MODEL_ID,
    MODEL_ID,
    ROUND_ROBIN,
    HomeConfig,
    home_id,
    shadow_id,
)
from hoonify_router.config.nodes import ListNode, MappingNode, Node, ScalarNode
from hoonify_router.config.problems import Problems, closest, listed, shown
from hoonify_router.config.routing_rules import RoutingRules

_OF_ONE_HOME = tuple(name for name in HomeConfig.__struct_fields__ if name != "weight")


@dataclass(frozen=True)
class Installed:
    """What a configuration may name.

    Args:
        backends: Options Struct of each backend.
        middleware: Settings Struct of each middleware plugin.
        with_url: Backends that can be a server at a ``url``; ``None`` when that is not known.
        broken: Why a plugin that is installed could not be loaded, by its name.
        balancers: Settings Struct of each balancer that a plugin brings.
    """

    backends: Mapping[str, type[Struct]]
    middleware: Mapping[str, type[Struct]]
    with_url: Collection[str] | None = None
    broken: Mapping[str, str] = field(default_factory=dict)
    balancers: Mapping[str, type[Struct]] = field(default_factory=dict)

    def names(self, kind: str) -> list[str]:
        """Return what there is of a kind: ``backend``, ``plugin`` or ``balancer``."""
        if kind == "balancer":
            return sorted({ROUND_ROBIN, *self.balancers})
        return sorted(self.backends if kind == "backend" else self.middleware)


class Rules:
    """Applies the rules to a tree, before its values are built.

    Args:
        installed: What may be named.
        problems: Takes what is wrong.
    """

    def __init__(self, installed: Installed, problems: Problems) -> None:
        self._installed = installed
        self._problems = problems
        self._checker = Checker(problems)
        self._kinds: dict[type[Struct], mi.StructType] = {}

    def apply(self, root: MappingNode) -> None:
        """Check the whole file as far as its shape allows; what has a wrong shape is told elsewhere."""
        defaults = root.mapping("backends")
        if defaults:
            self._check_backends(defaults)
        if models := root.mapping("models"):
            self._check_models(models, defaults)
        self._check_pipeline(root.entries.get("pipeline"), root.entries.get("plugins"))
        if plugins := root.mapping("plugins"):
            self._check_plugins(plugins)

    def _check_backends(self, backends: MappingNode) -> None:
        for name, entry in backends.entries.items():
            if name not in self._installed.backends:
                self._problems.add_at_key(entry, self._missing("backend", name))
            elif isinstance(entry, MappingNode) and (options := entry.mapping("options")):
                kind = self._struct_type(self._installed.backends[name])
                self._checker.struct(options, kind, partial=True)

    def _check_plugins(self, plugins: MappingNode) -> None:
        for name, settings in plugins.entries.items():
            if name not in self._installed.middleware:
                self._problems.add_at_key(settings, self._missing("plugin", name))
            elif isinstance(settings, MappingNode):
                self._checker.check(settings, self._struct_type(self._installed.middleware[name]))

    def _check_pipeline(self, pipeline: Node | None, plugins: Node | None) -> None:
        has_settings = plugins.entries if isinstance(plugins, MappingNode) else {}
        seen: set[str] = set()
        for node in pipeline.items if isinstance(pipeline, ListNode) else []:
            if not (isinstance(node, ScalarNode) and isinstance(node.value, str)) or node.spoilt:
                continue
            if node.value in seen:
                self._problems.add(node, f"names {shown(node)} a second time")
            elif node.value not in self._installed.middleware:
                self._problems.add(node, self._missing("plugin", node.value, hidden=node.from_env))
            elif node.value not in has_settings:  # then every setting has its default, or must not
                empty = MappingNode(node.at, node.at, ("plugins", node.value))
                self._checker.check(
                    empty, self._struct_type(self._installed.middleware[node.value])
                )
            seen.add(node.value)

    def _check_models(self, models: MappingNode, defaults: MappingNode | None) -> None:
        home_ids: set[str] = set()
        routing = RoutingRules(
            self._installed.balancers,
            lambda name, hidden: self._missing("balancer", name, hidden=hidden),
            lambda node, settings: self._checker.check(node, self._struct_type(settings)),
            self._problems,
        )
        demand = DemandRules(self._problems)
        for name, model in models.entries.items():
            if not re.fullmatch(MODEL_ID, name) or len(name) > MAX_MODEL_ID:
                self._problems.add_at_key(
                    model, "no good model ID: use letters, digits and . _ - : / between them"
                )
            if not isinstance(model, MappingNode):
                continue
            routing.apply(name, model, models)
            demand.check_model(model)
            homes = self._homes_of(model)
            for index, home in enumerate(homes):
                if (identity := home_id(name, index, len(homes))) in home_ids:
                    self._problems.add_at_key(
                        model, f"its home {identity} is named like another one"
                    )
                home_ids.add(identity)
                if isinstance(home, MappingNode):
                    self._check_home(home, defaults)
                    demand.check_home(home)
            if isinstance(shadow := model.entries.get("shadow"), MappingNode):
                if shadow_id(name) in home_ids:
                    what = f"its shadow {shadow_id(name)} is named like a home"
                    self._problems.add_at_key(shadow, what)
                home_ids.add(shadow_id(name))
                self._check_home(shadow, defaults)
                demand.check_home(shadow)
                if "weight" in shadow.entries:
                    what = "has no meaning for a shadow, which has a share"
                    self._problems.add_at_key(shadow.entries["weight"], what)

    def _homes_of(self, model: MappingNode) -> list[Node]:
        """Return where a model says that it lives; note when it says nothing or two things."""
        homes = model.entries.get("homes")
        if homes is None:
            if self._lacks_backend(model):
                known = listed(sorted(self._installed.backends))
                what = f"has no home; add backend: NAME (installed: {known}) or a list of homes"
                self._problems.add_at_key(model, what)
            return [model] if "backend" in model.entries else []
        for key in _OF_ONE_HOME:
            if key in model.entries:
                backend = key == "backend"
                what = "give either backend or homes, not both" if backend else "belongs into homes"
                self._problems.add_at_key(model.entries[key], what)
        if not isinstance(homes, ListNode):
            return []
        if not homes.items:
            self._problems.add(homes, "must name at least one home")
        return homes.items

    @staticmethod
    def _lacks_backend(model: MappingNode) -> bool:
        """Tell whether nothing is said of a home, not even with a slip of the pen."""
        node = model.entries.get("backend")
        if node is not None:
            return isinstance(node, ScalarNode) and node.value is None
        return not any(closest(key, ["backend", "homes"]) for key in model.entries)

    def _check_home(self, home: MappingNode, defaults: MappingNode | None) -> None:
        self._check_url(home)
        self._check_api_key(home)
        node, name = home.entries.get("backend"), home.text("backend")
        if node is None or name is None or (isinstance(node, ScalarNode) and node.spoilt):
            return
        if name not in self._installed.backends:
            hidden = isinstance(node, ScalarNode) and node.from_env
            self._problems.add(node, self._missing("backend", name, hidden=hidden))
            return
        with_url = self._installed.with_url
        if home.text("url") is not None and with_url is not None and name not in with_url:
            what = "has no meaning for this backend, whose engine is started here"
            self._problems.add_at_key(home.entries["url"], what)
        if "options" in home.entries and not home.mapping("options"):
            return
        options = _merged(home, defaults.mapping(name) if defaults else None)
        self._checker.struct(options, self._struct_type(self._installed.backends[name]))

    def _check_url(self, home: MappingNode) -> None:
        node, url = home.entries.get("url"), home.text("url")
        if url is None or not isinstance(node, ScalarNode) or node.spoilt:
            return
        if "@" in url:
            self._problems.add(node, "must hold no user and no password; a key goes into api_key")
        elif "?" in url:
            self._problems.add(node, "must have nothing after a ?; a key goes into api_key")
        elif url.rstrip("/").endswith("/chat/completions"):
            what = "must end before /chat/completions, such as http://127.0.0.1:30000/v1"
            self._problems.add(node, what)
        elif not _is_url(url):
            what = "must be a URL such as http://127.0.0.1:30000"
            self._problems.add(node, f"{what}, got {shown(node)}")

    def _check_api_key(self, home: MappingNode) -> None:
        node, key = home.entries.get("api_key"), home.text("api_key")
        if key is None or not isinstance(node, ScalarNode) or node.spoilt:
            return
        if not (key.isascii() and key.isprintable()) or " " in key:
            what = "must be printable ASCII without spaces and line breaks"
            self._problems.add(node, what)

    def _struct_type(self, cls: type[Struct]) -> mi.StructType:
        """Return what is known of a Struct, looked at once however many homes have it."""
        if cls not in self._kinds:
            kind = mi.type_info(cls)
            if not isinstance(kind, mi.StructType):
                raise TypeError(f"{cls!r} is not a msgspec Struct")
            self._kinds[cls] = kind
        return self._kinds[cls]

    def _missing(self, kind: str, name: str, *, hidden: bool = False) -> str:
        """Return what to say about a name that nothing installed has."""
        if name in self._installed.broken and not hidden:
            return (
                f"{kind} {name} is installed but cannot be loaded: {self._installed.broken[name]}"
            )
        known = self._installed.names(kind)
        guess = None if hidden else closest(name, known)
        meant = f"did you mean {guess}? installed: " if guess else "installed: "
        called = "of this name" if hidden else f"called {name}"
        joint = ", " if guess else "; "
        return f"no {kind} {called}{joint}{meant}{listed(known)}"


def _merged(home: MappingNode, defaults: MappingNode | None) -> MappingNode:
    """Return a home's options with its backend's defaults below them, each still in its own place."""
    own = home.mapping("options")
    key_at = own.key_at if own else home.key_at
    merged = MappingNode(key_at, key_at, (*home.path, "options"))
    for options in (defaults.mapping("options") if defaults else None, own):
        if options:
            merged.entries.update(options.entries)
    return merged


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port_is_good = parts.port != 0
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and not parts.query
        and not parts.fragment
        and port_is_good
        and text.isprintable()
        and " " not in text
    )
