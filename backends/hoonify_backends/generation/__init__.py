"""What every engine that samples in this process's own loop needs: prompts, choice of tokens, text, structure.

Shared by the backends whose engine is a library; nothing here knows a model or a device.
"""
