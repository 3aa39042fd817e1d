"""What goes wrong while starting servers."""


class ServiceError(Exception):
    """One or more plain sentences for the person at the terminal; never shown as a traceback."""
