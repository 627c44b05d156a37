"""The commands of a home, as an operator may read them, or paste them on the machines that help."""

from __future__ import annotations

import dataclasses

from msgspec import Struct

from hoonify_backends.sglang.command import (
    environment,
    flags,
    model_arguments,
    plan_launch,
    program,
    served_name,
)
from hoonify_backends.sglang.options import SGLangOptions
from hoonify_router.api import Explanation, LaunchSite, Step, Subject

_PORT = "30000"
_NODE_0 = "HOST_OF_NODE_0:20000"


def explain(options: Struct, subject: Subject) -> Explanation:
    """Return what the router runs, and what is to be run by hand on the other nodes of a large model."""
    assert isinstance(options, SGLangOptions)
    if subject.home.url is not None:
        return Explanation(notes=("Nothing is started: the server at `url:` runs already.",))
    site = LaunchSite(subject.model, subject.python, subject.base_dir)
    launch = plan_launch(options, subject.home, site)
    first = Step(
        "the router runs this" + (f", as node 0 of {options.nnodes}" if options.nnodes > 1 else ""),
        launch.command,
        launch.env,
    )
    notes = [
        "{port} is drawn anew at every start, and so is the key that the server asks for. It is told in a file in"
        " {files}, which only the router's user can read."
    ]
    if options.nnodes == 1:
        return Explanation((first,), tuple(notes))
    notes.append(
        "Run the others by hand, at about the same time: they find node 0 at dist_init_addr, and no request"
        " goes to them. The weights must be at the same place on every machine."
    )
    others = [other_node(options, site, rank) for rank in range(1, options.nnodes)]
    return Explanation((first, *others), tuple(notes))


def other_node(options: SGLangOptions, site: LaunchSite, rank: int) -> Step:
    """Return what runs on a node that serves no requests."""
    site = dataclasses.replace(site, python="python")
    command = [*program(options, site.python), *model_arguments(options, site.base_dir)]
    command += ["--served-model-name", served_name(site.model), "--port", _PORT]
    command += ["--enable-cache-report", *flags(options)]
    command += ["--nnodes", str(options.nnodes), "--node-rank", str(rank)]
    command += ["--dist-init-addr", options.dist_init_addr or _NODE_0, *options.extra_args]
    return Step(
        f"run this yourself, on node {rank} of {options.nnodes}",
        tuple(command),
        environment(options, site.base_dir),
    )
