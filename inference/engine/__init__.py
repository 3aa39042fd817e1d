"""The model and how it is asked: a library that knows nothing of Django, databases or HTTP servers.

`base`, `sampling`, `prompt`, `stopping`, `detokenize` and `remote` do without torch; what needs it imports it late or
is imported late, so that `./manage.py migrate` stays fast.
"""
