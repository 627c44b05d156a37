"""A second engine for ONNX models: onnxruntime-genai's own, for models exported with paged attention."""
