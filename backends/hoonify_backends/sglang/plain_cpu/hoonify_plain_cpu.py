"""A platform for SGLang, by its own extension point: any CPU, with torch's own operators only.

Laid on the path of SGLang's processes by the router; nothing of the router is in here.
"""

from sglang.srt.platforms.cpu import CpuDeviceMixin
from sglang.srt.platforms.device_mixin import PlatformEnum
from sglang.srt.platforms.interface import PlatformCapabilities, SRTPlatform


class PlainCpu(CpuDeviceMixin, SRTPlatform):
    """Computes everything the plain way: fused operators of an out-of-tree platform are torch's."""

    _enum = PlatformEnum.OOT
    device_name = "hoonify_plain_cpu"
    device_type = "cpu"
    capabilities = PlatformCapabilities()  # neither Triton nor captured graphs

    def get_default_attention_backend(self):
        """Return the attention that needs nothing but torch."""
        return "torch_native"


def activate():
    """Return the platform's class, as SGLang wants it named."""
    return "hoonify_plain_cpu:PlainCpu"
