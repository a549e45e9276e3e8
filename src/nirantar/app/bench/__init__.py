"""Benchmarks: each measures one promise of speed or memory beside a reference on the same machine in the same run."""
