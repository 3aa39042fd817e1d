"""The languages in the menus of pages. Contributions may have any well-formed tag."""

from dataclasses import dataclass

from django.utils.translation.trans_real import parse_accept_lang_header


@dataclass(frozen=True)
class Language:
    code: str
    english_name: str
    own_name: str


LANGUAGES: tuple[Language, ...] = (
    Language("ar", "Arabic", "العربية"),
    Language("bg", "Bulgarian", "Български"),
    Language("bn", "Bengali", "বাংলা"),
    Language("ca", "Catalan", "Català"),
    Language("cs", "Czech", "Čeština"),
    Language("da", "Danish", "Dansk"),
    Language("de", "German", "Deutsch"),
    Language("el", "Greek", "Ελληνικά"),
    Language("en", "English", "English"),
    Language("eo", "Esperanto", "Esperanto"),
    Language("es", "Spanish", "Español"),
    Language("et", "Estonian", "Eesti"),
    Language("eu", "Basque", "Euskara"),
    Language("fa", "Persian", "فارسی"),
    Language("fi", "Finnish", "Suomi"),
    Language("fr", "French", "Français"),
    Language("gl", "Galician", "Galego"),
    Language("he", "Hebrew", "עברית"),
    Language("hi", "Hindi", "हिन्दी"),
    Language("hr", "Croatian", "Hrvatski"),
    Language("hu", "Hungarian", "Magyar"),
    Language("id", "Indonesian", "Bahasa Indonesia"),
    Language("it", "Italian", "Italiano"),
    Language("ja", "Japanese", "日本語"),
    Language("ko", "Korean", "한국어"),
    Language("lt", "Lithuanian", "Lietuvių"),
    Language("lv", "Latvian", "Latviešu"),
    Language("nb", "Norwegian Bokmål", "Norsk bokmål"),
    Language("nl", "Dutch", "Nederlands"),
    Language("pl", "Polish", "Polski"),
    Language("pt-BR", "Portuguese (Brazil)", "Português (Brasil)"),
    Language("pt", "Portuguese", "Português"),
    Language("ro", "Romanian", "Română"),
    Language("ru", "Russian", "Русский"),
    Language("sk", "Slovak", "Slovenčina"),
    Language("sl", "Slovenian", "Slovenščina"),
    Language("sr", "Serbian", "Српски"),
    Language("sv", "Swedish", "Svenska"),
    Language("sw", "Swahili", "Kiswahili"),
    Language("ta", "Tamil", "தமிழ்"),
    Language("th", "Thai", "ไทย"),
    Language("tr", "Turkish", "Türkçe"),
    Language("uk", "Ukrainian", "Українська"),
    Language("ur", "Urdu", "اردو"),
    Language("vi", "Vietnamese", "Tiếng Việt"),
    Language("zh", "Chinese", "中文"),
    Language("zh-Hant", "Chinese (traditional)", "繁體中文"),
)
BY_CODE: dict[str, Language] = {language.code: language for language in LANGUAGES}


# Other tags for languages of the menu, used by browsers, data sets and models.
OTHER_TAGS = {"no": "nb", "nn": "nb", "iw": "he", "in": "id", "zh-tw": "zh-Hant", "zh-hk": "zh-Hant"}
_BY_LOWER_CASE = {code.lower(): code for code in BY_CODE}


def accepted_languages(accept_language: str) -> list[str]:
    """Return the languages of the menu that the header Accept-Language names, the most preferred first."""
    codes = (_menu_code(tag) for tag, weight in parse_accept_lang_header(accept_language) if weight > 0)
    return list(dict.fromkeys(code for code in codes if code))


def _menu_code(tag: str) -> str | None:
    """Return "de" for "de-AT", "zh-Hant" for "zh-Hant-HK"."""
    subtags = tag.lower().split("-")
    for length in range(len(subtags), 0, -1):
        shorter = "-".join(subtags[:length])
        shorter = OTHER_TAGS.get(shorter, shorter)
        if code := _BY_LOWER_CASE.get(shorter.lower()):
            return code
    return None


def name_of(tag: str) -> str:
    """Return the English name of a language of the menu, else the tag itself."""
    language = BY_CODE.get(tag)
    return language.english_name if language else tag
