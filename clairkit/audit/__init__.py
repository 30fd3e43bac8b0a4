"""What can be shown and undone afterwards: which row asked what, a sealed manifest, removal."""
