"""What administrators set for the whole site while it runs: announcement, maintenance, the end, and switches."""
