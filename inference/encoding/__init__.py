"""Text to vectors: tokenizer, ONNX session, encoder."""
