"""The benchmarks: `python -m benchmarks` runs the real worker on a real Kafka and writes results.md."""
