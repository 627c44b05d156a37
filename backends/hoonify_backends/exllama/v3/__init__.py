"""ExLlamaV3, the newer of the two engines: EXL3 checkpoints."""
