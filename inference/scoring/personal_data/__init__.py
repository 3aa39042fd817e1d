"""Find personal data and secrets in a text, by rules: what identifies or reaches a person, or opens an account.

Pure, and no model: a rule either holds (a checksum, a national numbering plan, a known form of key) or it does not.
False alarms matter as much as misses, because authors are asked about each finding: code, dates, prices, ISBNs,
versions, and well-known examples (RFC 2606, test card numbers) are not findings. A usual prompt takes less than 1 ms.
"""

from inference.scoring.personal_data.find import MASKS, VERSION, Finding, find, mask

__all__ = ["MASKS", "VERSION", "Finding", "find", "mask"]
