"""Session cookies of NextAuth 4: a compact JWE (RFC 7516) with a direct key and AES-256-GCM.

The key is HKDF-SHA256 of the secret, without salt, for the purpose that NextAuth names.
"""

import base64
import json
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.core.exceptions import PermissionDenied

_PURPOSE = b"NextAuth.js Generated Encryption Key"


def key_of(secret: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=b"", info=_PURPOSE).derive(secret.encode())


def email_in(cookie: str, secret: str) -> str | None:
    """The address that the cookie was made for, if it names one. Raises PermissionDenied for one that is not ours."""
    try:
        head, _, nonce, text, tag = (part.encode() for part in cookie.split("."))
        plain = AESGCM(key_of(secret)).decrypt(_decoded(nonce), _decoded(text) + _decoded(tag), head)
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
