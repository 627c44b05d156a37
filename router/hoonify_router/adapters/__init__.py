"""One module per way to a home: frames over a unix socket, or HTTP to an OpenAI-compatible server."""
