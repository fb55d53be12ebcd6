"""Readers of perf buffers and ring buffers: from mapped memory to callbacks."""
