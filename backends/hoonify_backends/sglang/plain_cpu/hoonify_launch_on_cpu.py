"""``python hoonify_launch_on_cpu.py FLAG...``: SGLang's server, on any CPU.

Three things happen at module level, since SGLang's child processes run this file again: the platform beside
this file is made known as an installed one would be, and two operators of torchvision, which are built for CUDA
and do not load here, are declared, so that the rest of torchvision imports.
"""

import sys
from importlib import metadata

import torch

_ENTRY_POINTS = "[sglang.srt.platforms]\nhoonify_plain_cpu = hoonify_plain_cpu:activate\n"
_METADATA = "Metadata-Version: 2.1\nName: hoonify-plain-cpu\nVersion: 1\n"


class _PlainCpu(metadata.Distribution):
    """What an installed distribution of the platform would say of itself."""

    def read_text(self, filename):
        return {"METADATA": _METADATA, "entry_points.txt": _ENTRY_POINTS}.get(filename)

    def locate_file(self, path):
        return path


class _Finder(metadata.DistributionFinder):
    """Finds it beside all others; no module comes from here."""

    def find_spec(self, fullname, path=None, target=None):
        return None

    def find_distributions(self, context=metadata.DistributionFinder.Context()):  # noqa: B008
        return [_PlainCpu()] if context.name in (None, "hoonify-plain-cpu") else []


sys.meta_path.append(_Finder())

for _name in ("nms", "qnms"):
    torch.library.define(
        f"torchvision::{_name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    )

if __name__ == "__main__":
    import runpy

    runpy.run_module("sglang.launch_server", run_name="__main__", alter_sys=False)
