"""Ask a server that speaks the OpenAI protocol: transport, retries, request and response."""
