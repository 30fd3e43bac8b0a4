"""The command line. One file a command; a command's heavy imports stay inside its callback."""
