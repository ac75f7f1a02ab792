"""What is saved for Core ML, on any system that has coremltools: `make coreml`."""
