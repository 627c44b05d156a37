"""What the router adds to a request: CPU time, latency, time to the first token, cost of a streamed chunk."""
