"""Ask a reviser for a minimal revision and read what it replies."""
