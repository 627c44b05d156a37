"""How fast the ONNX Runtime engine is beside a plain loop and onnxruntime-genai; see ``__main__``."""
