"""A real SGLang server on an NVIDIA GPU, launched by the router, with the model that ships."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from tests.backends.sglang.servers import built
from tests.e2e.conftest import ROOT, Router

from hoonify_backends.gpus import has_nvidia_device
from hoonify_router.environments.store import FOLDER_VARIABLE

MODEL = ROOT / "models" / "tiny-chat" / "hf"


def _missing() -> str:
    """Return what is missing for these tests, or nothing."""
    if not has_nvidia_device():
        return "no NVIDIA GPU here"
    if built("cuda") is None:
        return "SGLang's environment for GPUs is not built: hoonify-router env sync sglang"
    return ""


pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(_missing()), reason=_missing()),
]

CONFIG = f"""
server: {{allow_anonymous: true}}
pipeline: [openai_errors]
models:
  tiny-chat:
    provider: Hoonify
    context_length: 1024
    backend: sglang
    options: {{model: {MODEL}, mem_fraction_static: 0.2, dtype: float16}}
"""


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router whose home is ready."""
    folder = tmp_path_factory.mktemp("sglang-gpu")
    (folder / "router.yaml").write_text(CONFIG)
    found = built("cuda")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(found))
        router = Router(folder / "router.yaml", folder)
    try:
        router.wait_ready(900)
        yield router
    finally:
        router.clean_up()


def test_it_answers_from_the_gpu(router: Router) -> None:
    """The same sentence as on the CPU."""
    with openai.OpenAI(base_url=router.base_url, api_key="none", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="tiny-chat",
            messages=[{"role": "user", "content": "Count to five"}],
            temperature=0,
            stream=True,
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text.startswith("1, 2, 3, 4, 5")
