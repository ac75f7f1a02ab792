"""What the backends have in common that run graphs on an execution provider of onnxruntime."""
