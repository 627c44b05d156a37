"""ExLlamaV2, the older of the two engines: EXL2 and GPTQ checkpoints. No longer developed by its makers."""
