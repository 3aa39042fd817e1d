"""Session cookies of NextAuth 4: a compact JWE (RFC 7516) with a direct key and AES-256-GCM.

The key is HKDF-SHA256 of the secret, without salt, with NextAuth's own info string.
"""

import base64
import json
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.core.exceptions import PermissionDenied

_INFO = b"NextAuth.js Generated Encryption Key"


def derive_key(secret: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=b"", info=_INFO).derive(secret.encode())


def read_email(cookie: str, secret: str) -> str | None:
    """Return the email address in the cookie, if any. Raise PermissionDenied for an invalid or expired cookie."""
    try:
        head, _, nonce, text, tag = (part.encode() for part in cookie.split("."))
        plain = AESGCM(derive_key(secret)).decrypt(_decoded(nonce), _decoded(text) + _decoded(tag), head)
        claims = json.loads(plain)
        expired = float(claims.get("exp", "inf")) < time.time()
        email = claims.get("email")
    except (ValueError, TypeError, AttributeError, InvalidTag) as error:
        raise PermissionDenied("Not authenticated") from error
    if expired:
        raise PermissionDenied("Not authenticated")
    return email if isinstance(email, str) else None


def _decoded(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
