"""Texts of made-up conversations: our own sentences about everyday subjects, combined at random.

Each text ends with a made-up word, since a search must be measured with words of every frequency. The n-th of
`VOCABULARY` words of a language is about 1 / n as frequent as the first.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Phrases:
    """The phrases of one language. `{}` stands for a subject."""

    subjects: tuple[str, ...]
    prompts: tuple[str, ...]
    follow_ups: tuple[str, ...]
    answers: tuple[str, ...]


PHRASES = {
    "en": Phrases(
        (
            "sourdough bread",
            "a bicycle chain",
            "the tides",
            "tomato plants",
            "compound interest",
            "a leaking tap",
            "the French Revolution",
            "recursion in Python",
            "learning the violin",
            "a night train",
            "wild mushrooms",
            "a job interview",
            "northern lights",
            "writing a will",
            "chess openings",
            "a vegetable garden",
        ),
        (
            "How would you explain {} to somebody who has never heard of it?",
            "What should I know about {} before I begin? I have two hours a week for it.",
            "Write a short text about {} that a twelve-year-old enjoys.",
            "I read something odd about {} and want to know whether it is true.",
            "Give me a plan for a first week with {}, one step a day.",
        ),
        (
            "Thank you. And what changes when I have less time for {}?",
            "The part about {} is not clear to me. Could you give an example?",
            "I tried that with {} and it did not work. What else is there?",
            "Which of these would you leave out if it were only about {}?",
        ),
        (
            "Start small: with {} most mistakes come from doing too much at once.",
            "The usual advice about {} is right in the main, but it leaves out why it works.",
            "First look at what you already have, then decide whether {} is worth the money.",
            "People who have done it for years say that {} mostly asks for patience.",
            "There is one exception, and it concerns {}: there you should ask somebody on the spot.",
            "Write down what you notice about {}; after a week the pattern shows by itself.",
            "If it goes wrong, go back one step, since {} forgives more than one expects.",
            "In numbers: about a third of the effort for {} goes into preparing it.",
        ),
    ),
    "es": Phrases(
        (
            "el pan casero",
            "la bicicleta",
            "las mareas",
            "los tomates",
            "el interés compuesto",
            "el ajedrez",
            "el huerto",
        ),
        (
            "¿Cómo explicarías {} a alguien que nunca ha oído hablar de eso?",
            "¿Qué debo saber sobre {} antes de empezar?",
            "Escribe un texto breve sobre {} para un niño de doce años.",
        ),
        ("Gracias. ¿Y qué cambia si tengo menos tiempo para {}?", "No entiendo bien la parte de {}. ¿Un ejemplo?"),
        (
            "Empieza poco a poco: con {} casi todos los errores vienen de la prisa.",
            "El consejo habitual sobre {} es correcto, pero no dice por qué funciona.",
            "Mira primero lo que ya tienes y decide después si {} merece la pena.",
            "Si algo sale mal, vuelve un paso atrás, porque {} perdona más de lo que parece.",
        ),
    ),
    "de": Phrases(
        ("Sauerteigbrot", "eine Fahrradkette", "die Gezeiten", "Tomatenpflanzen", "Zinseszins", "Schach", "der Garten"),
        (
            "Wie würdest du jemandem, der nie davon gehört hat, {} erklären?",
            "Was sollte ich wissen, bevor ich mich mit dem Thema {} beschäftige?",
            "Schreibe einen kurzen Text zum Thema {} für ein zwölfjähriges Kind.",
        ),
        ("Danke. Und wenn ich für {} weniger Zeit habe?", "Das zum Thema {} verstehe ich nicht. Hast du ein Beispiel?"),
        (
            "Fang klein an: beim Thema {} kommen die meisten Fehler von der Eile.",
            "Der übliche Rat zum Thema {} stimmt, verschweigt aber, warum er stimmt.",
            "Sieh dir zuerst an, was du schon hast, und entscheide dann, ob {} das Geld wert ist.",
            "Geht es schief, dann geh einen Schritt zurück: {} verzeiht mehr, als man denkt.",
        ),
    ),
    "fr": Phrases(
        (
            "le pain au levain",
            "le vélo",
            "les marées",
            "les tomates",
            "les intérêts composés",
            "les échecs",
            "le potager",
        ),
        (
            "Comment expliquer {} à quelqu'un qui n'en a jamais entendu parler ?",
            "Que faut-il savoir sur {} avant de commencer ?",
            "Écris un texte court sur {} pour un enfant de douze ans.",
        ),
        ("Merci. Et si j'ai moins de temps pour {} ?", "Je ne comprends pas la partie sur {}. Un exemple ?"),
        (
            "Commence doucement : avec {}, la plupart des erreurs viennent de la hâte.",
            "Le conseil habituel sur {} est juste, mais il ne dit pas pourquoi.",
            "Regarde d'abord ce que tu as, puis décide si {} vaut la dépense.",
            "Si cela tourne mal, reviens d'un pas : {} pardonne plus qu'on ne croit.",
        ),
    ),
    "ru": Phrases(
        ("хлеб на закваске", "велосипед", "приливы", "помидоры", "сложные проценты", "шахматы", "огород"),
        (
            "Как объяснить тему «{}» тому, кто никогда о ней не слышал?",
            "Что нужно знать про «{}», прежде чем начать?",
            "Напиши короткий текст на тему «{}» для ребёнка двенадцати лет.",
        ),
        ("Спасибо. А если на тему «{}» мало времени?", "Не понял часть про «{}». Можно пример?"),
        (
            "Начни с малого: в теме «{}» большинство ошибок происходит от спешки.",
            "Обычный совет про «{}» верен, но не говорит, почему.",
            "Сначала посмотри, что уже есть, а потом решай, стоит ли «{}» своих денег.",
            "Если не вышло, вернись на шаг назад: «{}» прощает больше, чем кажется.",
        ),
    ),
    "zh": Phrases(
        ("酸面包", "自行车", "潮汐", "番茄", "复利", "国际象棋", "菜园"),
        ("如何向从未听说过的人解释{}？", "开始学习{}之前应该知道什么？", "为十二岁的孩子写一篇关于{}的短文。"),
        ("谢谢。如果我没有那么多时间做{}呢？", "关于{}的部分我不太明白，能举个例子吗？"),
        (
            "从小处开始：关于{}，大多数错误都来自着急。",
            "关于{}的常见建议是对的，但没有说明为什么。",
            "先看看你已经有什么，再决定{}是否值得花钱。",
            "如果出了问题，就退回一步，{}比想象中更宽容。",
        ),
    ),
}

VOCABULARY = 20_000
_SYLLABLES = tuple(consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou")
_CHARACTERS = (
    "山水火木土石金玉田禾米竹草花果树林鸟鱼马牛羊犬虎龙龟虫贝车舟刀弓矢衣食住行门户井窗台楼塔桥路城市村店"
    "红黄蓝绿白黑紫青春夏秋冬东西南北上下左右前后内外大小多少高低长短新旧远近冷热快慢轻重"
)


def word(lang: str, number: int) -> str:
    """Return the made-up word with this number, from 0."""
    alphabet: Sequence[str] = _CHARACTERS if lang == "zh" else _SYLLABLES
    parts = []
    for _ in range(2 if lang == "zh" else 3):
        number, index = divmod(number, len(alphabet))
        parts.append(alphabet[index])
    return "".join(parts)


def _last_word(lang: str, chance: random.Random) -> str:
    drawn = word(lang, int(VOCABULARY ** chance.random()) - 1)
    return f"（{drawn}）" if lang == "zh" else f" ({drawn})"


def prompt(lang: str, chance: random.Random) -> str:
    phrases = PHRASES[lang]
    return chance.choice(phrases.prompts).format(chance.choice(phrases.subjects)) + _last_word(lang, chance)


def reply(lang: str, role: str, chance: random.Random) -> str:
    """Return a follow-up, or an answer of one to six sentences."""
    phrases = PHRASES[lang]
    if role == "prompter":
        return chance.choice(phrases.follow_ups).format(chance.choice(phrases.subjects)) + _last_word(lang, chance)
    number = chance.randint(1, 6)
    sentences = [chance.choice(phrases.answers).format(chance.choice(phrases.subjects)) for _ in range(number)]
    return ("" if lang == "zh" else " ").join(sentences) + _last_word(lang, chance)
