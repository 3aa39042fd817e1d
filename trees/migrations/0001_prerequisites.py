"""What the tables lean on: trigrams, the number sequence of trees, and the search text of a message."""

from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations

# Languages with a dictionary in PostgreSQL; all others are searched word by word ('simple').
DICTIONARIES = {
    "ar": "arabic", "hy": "armenian", "eu": "basque", "ca": "catalan", "da": "danish", "nl": "dutch",
    "en": "english", "fi": "finnish", "fr": "french", "de": "german", "el": "greek", "hi": "hindi",
    "hu": "hungarian", "id": "indonesian", "ga": "irish", "it": "italian", "lt": "lithuanian", "ne": "nepali",
    "no": "norwegian", "nb": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sr": "serbian", "es": "spanish", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}
CASES = "\n".join(f"    WHEN '{lang}' THEN 'pg_catalog.{name}'" for lang, name in DICTIONARIES.items())

# Immutable, since the dictionary is a constant per language: a generated column may use nothing else.
# left(): a tsvector holds at most 1 MB, and an imported text may be longer than that.
SEARCH_FUNCTION = f"""
CREATE FUNCTION trees_message_search(lang text, body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT to_tsvector(
    (CASE split_part(lower(lang), '-', 1)
{CASES}
    ELSE 'pg_catalog.simple' END)::regconfig,
    left(body, 100000))
$$
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        TrigramExtension(),
        migrations.RunSQL("CREATE SEQUENCE trees_messagetree_number", "DROP SEQUENCE trees_messagetree_number"),
        migrations.RunSQL(SEARCH_FUNCTION, "DROP FUNCTION trees_message_search(text, text)"),
    ]
