"""Search of languages that PostgreSQL has no dictionary for, and lists of conversations by state.

Texts in scripts without spaces are searched by pairs of characters. Their messages are indexed anew here, a thousand at
a time; until then they are found by the old words.
"""

from collections.abc import Iterator

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

BATCH = 1000

# The languages of 0001, as a function of its own: highlighting needs the dictionary too.
DICTIONARIES = {
    "ar": "arabic", "hy": "armenian", "eu": "basque", "ca": "catalan", "da": "danish", "nl": "dutch",
    "en": "english", "fi": "finnish", "fr": "french", "de": "german", "el": "greek", "hi": "hindi",
    "hu": "hungarian", "id": "indonesian", "ga": "irish", "it": "italian", "lt": "lithuanian", "ne": "nepali",
    "no": "norwegian", "nb": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sr": "serbian", "es": "spanish", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}
CASES = "\n".join(f"    WHEN '{lang}' THEN 'pg_catalog.{name}'" for lang, name in DICTIONARIES.items())
# Chinese, Cantonese, Japanese, Thai, Lao, Khmer, Burmese, and the characters of their scripts.
WITHOUT_SPACES = ("zh", "yue", "ja", "th", "lo", "km", "my")
LANGUAGES = ", ".join(f"'{lang}'" for lang in WITHOUT_SPACES)
CHARACTER = (
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9d"
    r"\U00020000-\U0003ffff]"
)
SYLLABLE = r"[\uac00-\ud7af]"  # of Korean, where particles are written behind words of two syllables

# CREATE OR REPLACE, since an interrupted run is repeated. The release before calls only trees_message_search.
# trees_character_pairs takes 20,000 characters, because a tsvector holds at most 1 MB. A character with none of its
# script behind it stands alone, so each one is the beginning of a lexeme.
CREATE = rf"""
CREATE OR REPLACE FUNCTION trees_search_configuration(lang text) RETURNS regconfig
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (CASE split_part(lower(lang), '-', 1)
{CASES}
    ELSE 'pg_catalog.simple' END)::regconfig
$$;

CREATE OR REPLACE FUNCTION trees_character_pairs(body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(
    array_to_tsvector(array_agg(DISTINCT one || CASE WHEN following ~ '{CHARACTER}' THEN following ELSE '' END)), '')
  FROM (
    SELECT one, lead(one, 1, '') OVER (ORDER BY place) AS following
    FROM unnest(string_to_array(left(body, 20000), NULL)) WITH ORDINALITY AS characters(one, place)
  ) AS pairs
  WHERE one ~ '{CHARACTER}'
$$;

CREATE OR REPLACE FUNCTION trees_message_search(lang text, body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN split_part(lower(lang), '-', 1) IN ({LANGUAGES}) THEN
    to_tsvector('pg_catalog.simple'::regconfig, regexp_replace(left(body, 100000), '{CHARACTER}+', ' ', 'g'))
      || {{schema}}.trees_character_pairs(body)
  ELSE to_tsvector({{schema}}.trees_search_configuration(lang), left(body, 100000)) END
$$;

CREATE OR REPLACE FUNCTION trees_search_query(lang text, words text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT string_agg(
    '''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || ''''
      || CASE WHEN {{schema}}.trees_search_configuration(lang) <> 'pg_catalog.simple'::regconfig THEN ''
              WHEN length(lexeme) > 2 OR lexeme ~ '^({CHARACTER}|{SYLLABLE})' THEN ':*'
              ELSE '' END,
    ' & ')::tsquery
  FROM unnest({{schema}}.trees_message_search(lang, left(words, 1000)))
$$;
"""
UNDO = f"""
CREATE OR REPLACE FUNCTION trees_message_search(lang text, body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT to_tsvector(
    (CASE split_part(lower(lang), '-', 1)
{CASES}
    ELSE 'pg_catalog.simple' END)::regconfig,
    left(body, 100000))
$$;
DROP FUNCTION trees_search_query(text, text);
DROP FUNCTION trees_character_pairs(text);
DROP FUNCTION trees_search_configuration(text);
"""


def create(apps, schema_editor):
    """Create the functions. They name each other with their schema: pg_restore sets no search path."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        ((schema,),) = cursor.fetchall()
        cursor.execute(CREATE.replace("{schema}", schema))


def undo(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(UNDO)


def index_anew(apps, schema_editor):
    """Compute `search` again for the messages whose function changed. A second run does it once more."""
    with schema_editor.connection.cursor() as cursor:
        for ids in _batches(cursor):
            cursor.execute("UPDATE trees_message SET lang = lang WHERE id = ANY(%s)", [ids])


def _batches(cursor) -> Iterator[list]:
    languages = [list(WITHOUT_SPACES)]
    cursor.execute("SELECT id FROM trees_message WHERE split_part(lower(lang), '-', 1) = ANY(%s)", languages)
    ids = [pk for (pk,) in cursor.fetchall()]
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


class Migration(migrations.Migration):
    """Messages are written while it runs."""

    atomic = False

    dependencies = [
        ('trees', '0029_check_once'),
    ]

    operations = [
        migrations.RunPython(create, undo),
        migrations.RunPython(index_anew, index_anew),
        migrations.RunSQL(
            "DROP INDEX CONCURRENTLY IF EXISTS tree_explored",  # what an interrupted run left
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS tree_explored_lang", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name='messagetree',
            index=models.Index(fields=['state', 'created_at', 'id'], name='tree_explored'),
        ),
        AddIndexConcurrently(
            model_name='messagetree',
            index=models.Index(fields=['state', 'lang', 'created_at', 'id'], name='tree_explored_lang'),
        ),
    ]
