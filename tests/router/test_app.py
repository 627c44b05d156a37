"""The wiring: one gateway process out of a configuration and the installed plugins."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hoonify_router.config import BackendDefaults, Config, LoadedConfig, ModelConfig
from hoonify_router.gateway_process import Launch

HEAVY = ("exllamav2", "numpy", "onnxruntime", "sglang", "tokenizers", "torch", "transformers")

BUILD = """
import json, sys
from pathlib import Path
from hoonify_router.gateway_process import Launch, gateway_app
from hoonify_router.config import load_config
from hoonify_router.loader import load_plugins
plugins = load_plugins()
folder = Path(sys.argv[1])
loaded = load_config(
    folder / "router.yaml",
    backend_options=plugins.backend_options,
    plugin_settings=plugins.plugin_settings,
    balancer_settings=plugins.balancer_settings,
    env={"HOONIFY_STATE_DIR": str(folder)},
)
app = gateway_app(Launch(loaded, "http://x", folder))
print(json.dumps({
    "name": app.name,
    "routes": sorted({route.path for route in app.router.routes}),
    "heavy": sorted(set(json.loads(sys.argv[2])) & set(sys.modules)),
}))
"""

YAML = """
pipeline: [{pipeline}]
models:
  small: {{provider: A, context_length: 1024, backend: onnxruntime, options: {{model: x}}}}
  large: {{provider: B, context_length: 1024, backend: sglang, url: "http://gpu-1:30000"}}
  quantized: {{provider: C, context_length: 1024, backend: exllamav2, options: {{model: x}}}}
  parrot: {{provider: D, context_length: 1024, backend: echo}}
"""


def build(folder: Path, pipeline: str, sabotage: str = "") -> subprocess.CompletedProcess[str]:
    """Build a gateway's app in a process of its own.

    Args:
        folder: Holds its configuration.
        pipeline: Its middleware.
        sabotage: What happens after the configuration was read.
    """
    (folder / "router.yaml").write_text(YAML.format(pipeline=pipeline))
    return subprocess.run(
        [
            *(sys.executable, "-c", BUILD.replace("app = ", f"{sabotage}\napp = ")),
            *(str(folder), json.dumps(HEAVY)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_gateway_with_all_plugins_imports_no_engine(tmp_path: Path) -> None:
    """Whatever backends its models have."""
    done = build(tmp_path, "api_keys, openai_errors")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["heavy"] == []
    assert told["name"] == f"hoonify-router-{tmp_path.name}"
    assert {"v1/chat/completions", "v1/models", "health", "ready"} <= set(told["routes"])


def test_a_gateway_without_its_authentication_does_not_start(tmp_path: Path) -> None:
    """One line says why, and the exit status that to start it again would not help."""
    sabotage = "sys.modules['hoonify_plugins.api_keys'] = None"
    done = build(tmp_path, "api_keys", sabotage)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("hoonify-router:")]
    assert "api_keys" in line
    assert "Traceback" not in done.stderr


def test_the_longest_drain_decides_how_long_a_stop_may_take() -> None:
    """At least half a minute."""
    models = {"parrot": ModelConfig("Nobody", 1, backend="echo")}

    def patience(**drains: float) -> float:
        backends = {name: BackendDefaults(drain_timeout=drain) for name, drain in drains.items()}
        loaded = LoadedConfig(Path("/x.yaml"), Config(models, backends=backends), Path("/x"))
        return Launch(loaded, "http://x", Path("/run")).patience

    assert patience() == 30
    assert patience(echo=5) == 30
    assert patience(echo=5, sglang=120) == 120
