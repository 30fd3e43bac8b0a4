"""Ask a model: a local one, a server's or a function; with sampling, limits and budget."""
