"""Simulated people who do all kinds of work with real texts, through the services or through the pages over HTTP."""
