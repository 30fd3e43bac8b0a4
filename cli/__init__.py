"""Parse the command line. One file a command; heavy imports stay inside its callback."""
