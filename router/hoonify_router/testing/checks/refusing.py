"""Level 2: what the home cannot honour is refused by name, and what is wrong is refused at all."""

from __future__ import annotations

from hoonify_router.testing.asking import ASKING
from hoonify_router.testing.bench import COMPLETIONS, EMBEDDINGS, Bench
from hoonify_router.testing.records import Level, NotApplicable, check, require

_IMAGE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQMAAACQp+OdAAAABlBMVEUAAAAAAAClZ7nPAAAAD0lEQVR42mNgGAWjgH"
    "wAAAJAAAHgTR1EAAAAAElFTkSuQmCC"
)


@check(Level.SEMANTICS, task="chat")
async def honours_what_it_declares(bench: Bench) -> None:
    """Each request field that it declares is taken, not refused."""
    declared = await bench.parameters()
    if declared is None:
        raise NotApplicable("its server decides itself")
    for name, fields in ASKING.items():
        if name not in declared:
            continue
        others = {field for field in fields if field not in declared and fields[field] is not None}
        if others - {name}:
            continue
        prompt = '{"one": 2}' if name == "response_format" else None
        answer = await bench.post(await bench.body(prompt, **fields))
        told = f"it declares {name} and answers {answer.status}: {answer.body[:160]!r}"
        require(answer.status == 200, told + bench.last_words)


@check(Level.SEMANTICS, task="chat")
async def refuses_what_it_cannot(bench: Bench) -> None:
    """Each request field that it does not honour is refused by its name, never dropped in silence."""
    declared = await bench.parameters()
    if declared is None:
        raise NotApplicable("its server decides itself")
    for name, fields in ASKING.items():
        if await bench.supports(name) is not False:
            continue
        answer = await bench.post(await bench.body(**fields))
        require(answer.status == 400, f"it does not honour {name} and answers {answer.status}")
        code, param = answer.error.get("code"), str(answer.error.get("param"))
        named = code == "unsupported_parameter" and param.split(".", maxsplit=1)[0] in fields
        require(named, f"{name} is refused as {code} of {param}, not by its name")


@check(Level.SEMANTICS, task="chat")
async def sees_images_or_refuses_them(bench: Bench) -> None:
    """An image costs tokens where the engine says that it sees; else it is refused by its place, never dropped."""
    await bench.home()
    sees = None if bench.capabilities is None else bench.capabilities.images
    if sees is None:
        raise NotApplicable("it does not say whether it sees images")
    text = {"type": "text", "text": await bench.words()}
    image = {"type": "image_url", "image_url": {"url": _IMAGE}}
    body = await bench.body([{"role": "user", "content": [text, image]}])
    if sees:
        seeing = await bench.good(await bench.post(body))
        blind = await bench.ask([{"role": "user", "content": [text]}])
        more = seeing.usage["prompt_tokens"] - blind.usage["prompt_tokens"]
        require(more > 0, f"an image costs {more} tokens: it is not in the prompt")
        return
    answer = await bench.post(body)
    require(answer.status == 400, f"it sees no images and answers one with {answer.status}")
    code, param = answer.error.get("code"), answer.error.get("param")
    named = code == "unsupported_parameter" and param == "messages[0].content[1]"
    require(named, f"an image is refused as {code} of {param}, not by its place")


@check(Level.SEMANTICS, task="chat")
async def takes_metadata(bench: Bench) -> None:
    """Fields that change no token are taken."""
    await bench.ask(user="someone", metadata={"purpose": "conformance"}, store=False)


@check(Level.SEMANTICS, task="chat")
async def refuses_what_is_too_long(bench: Bench) -> None:
    """A prompt over the context is the client's mistake, with a code that tells so."""
    context = await bench.context()
    if not 0 < context <= 200_000:
        raise NotApplicable("its context is not known, or too long to be filled by a test")
    prompt = "one two three four " * (context // 2 + 16)
    answer = await bench.post(await bench.body(prompt))
    code = answer.error.get("code")
    require(answer.status == 400, f"a prompt over the context gets {answer.status}")
    require(code == "context_length_exceeded", f"a prompt over the context is {code}")


@check(Level.SEMANTICS, task="chat")
async def errors_tell_no_secrets(bench: Bench) -> None:
    """An error that a client reads holds no path, no address and no trace."""
    context = await bench.context() or 4096
    bodies = [
        await bench.body("one " * min(4 * context, 400_000)),
        await bench.body(response_format={"type": "json_object"}, **await bench.limit(2)),
        await bench.body(logit_bias={"999999999": 5}),
    ]
    for body in bodies:
        answer = await bench.post(body)
        if answer.status == 200:
            continue
        message = str(answer.error.get("message"))
        require(answer.error, f"an answer of {answer.status} has no error in OpenAI's shape")
        for sign in ("Traceback", "://", "/usr/", "/home/", ".py"):
            require(sign not in message, f"an error tells {sign!r}: {message[:200]!r}")


@check(Level.SEMANTICS, task="chat")
async def impossible_tokens_are_mistakes(bench: Bench) -> None:
    """A bias for a token that there is not is the client's mistake, not a failure of the engine."""
    if await bench.supports("logit_bias") is False:
        raise NotApplicable("it does not honour logit_bias")
    answer = await bench.post(await bench.body(logit_bias={"999999999": 5}))
    require(
        answer.status < 500, f"a token that there is not gets {answer.status}{bench.last_words}"
    )


@check(Level.SEMANTICS)
async def says_what_it_is_not_for(bench: Bench) -> None:
    """An endpoint that the model is not for is refused as such."""
    home = await bench.home()
    if home.capabilities is None:
        raise NotApplicable("its server decides itself")
    for task, path, body in (
        ("completion", COMPLETIONS, {"prompt": "one"}),
        ("embedding", EMBEDDINGS, {"input": "one"}),
    ):
        if task not in home.capabilities.tasks:
            answer = await bench.post(body, path)
            code = answer.error.get("code")
            require(code == "wrong_endpoint", f"{path} answers {answer.status}, {code}")
