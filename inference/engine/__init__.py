"""The model behind the chat: a library without Django, databases or HTTP servers.

`base`, `sampling`, `prompt`, `stopping`, `detokenize` and `remote` do not need torch. The other modules import it late
or are imported late, so that `./manage.py migrate` stays fast.
"""
