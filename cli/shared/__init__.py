"""Share the console, streams and options between commands."""
