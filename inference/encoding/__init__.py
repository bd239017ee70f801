"""Encoding of texts as vectors: tokenizer, ONNX session, encoder."""
