"""Every page of a demo installation as pictures, checked on the way: scripts/screenshots."""
