"""From a snapshot to a model: samples, losses, methods of training. No Django: all it knows are files and folders."""
