"""Notices: what people are told about their texts, reports and points.

`writing` and `levels` store them once for each person, `queries` and `wording` show them, `digests` mails them.
"""
