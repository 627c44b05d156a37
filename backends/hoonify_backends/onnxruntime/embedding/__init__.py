"""Embeddings with ONNX Runtime: encoders of the sentence-transformers kind, many requests in one call."""
