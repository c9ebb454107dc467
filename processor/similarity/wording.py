"""A prompt in, the words that carry its question out: politeness gone, synonyms and numerals in one form."""

from __future__ import annotations

import re
from functools import lru_cache

import rjieba

from processor.similarity.words import CAPITAL_WORDS, ENGLISH_NUMBERS, FILLER, NO_PLURAL, OPPOSITES, SYNONYMS
from processor.steps.normalise import normalise

Words = tuple[str, ...]
# Longer prompts, in characters, are compared without rewriting phrases, whose patterns look ahead far.
LONG = 2000

# Ways to say one thing that span several words, rewritten in this order before the text is cut into words.
_ENGLISH = [
    (re.compile(pattern), to)
    for pattern, to in (
        (r"[’‘`´]", "'"),
        (r"\bcan't\b", "can not"), (r"\bcannot\b", "can not"), (r"\bwon't\b", "will not"), (r"n't\b", " not"),
        (r"\b(what|where|who|how|when|that|there|it|he|she)'s\b", r"\1 is"), (r"\bi'm\b", "i am"),
        (r"'re\b", " are"), (r"'ll\b", " will"), (r"'ve\b", " have"), (r"\b(i|we|you)'d\b", r"\1 would"),
        (r"\b(?:log|sign)[ -]?in\b(?! the\b)", "login"), (r"\b(?:log|sign)[ -]?out\b", "logout"),
        (r"\bsign up\b", "register"), (r"\bsum up\b", "summarise"), (r"\be-mail", "email"),
        (r"\b(?:cell|mobile) ?phone\b", "cellphone"),
        (r"^(?:hi|hello|hey|good (?:morning|afternoon|evening))\b(?: there)?[ ,.!]*", ""),
        (r"\b(?:many )?(?:thanks|thank you|thx)(?: (?:a lot|so much|very much|in advance))?[.! ]*$", ""),
        (r"\b(?:right )?now[?.! ]*$", ""),
        (r"\bplease\b|\bpls\b|\bkindly\b", " "),
        (r"\bi was wondering (?:if|whether|how)\b", lambda m: "how" if m[0].endswith("how") else " "),
        (r"\bi(?: would|) (?:want|need|like|wish) to know\b", " "),
        (r"\b(?:can|could|would|will|may) you +(?:tell|show|let) me(?: know)?\b", " "),
        (r"\b(?:do|would) you (?:happen to )?know (?=how|what|when|where|who|why|which)", " "),
        (r"\b(?:can|could|will|would) (?:anyone|somebody|someone) (?:tell|show) me\b", " "),
        (r"^ *(?:tell|show) me (?=how|what|when|where|who|why|which)", " "),
        (r"(^|[.,;!?] *)(?:can|could|would|will) you (?=\w)(?!not\b)", r"\1"),
        (r"(?<!\bknow)(?<!\btell)(?<!\bme)(?<!\bshow)(?<!\bof)(?<!\bin)(?<!\bto)(?<!\bfor)(?<!\bat)(?<!\band)"
         r"(?<!\bor)(?<!\bexplain)(?<!\bsay)(?<!\bdecide)(?<!\bchoose)(?<=\w) which (?=\w)", " that "),
        (r"\bhelp me(?: to)? (?=\w)", " "), (r"\bi need help (?=\w)", " "),
        (r"(^|[.,;!?] *)i(?: would|) (?:want|need|like|wish) to (?=\w)", r"\1"),
        (r"\bhow (?:do|can|could|should|would|might|must) (?:i|we|you|one)\b", "how to"),
        (r"\bhow (?:am|are) (?:i|we) supposed to\b", "how to"), (r"\bhow does one\b", "how to"),
        (r"\bwhat (?:is|would be) the (?:right |correct |proper )?(?:way|procedure|process) (?:to|for)\b", "how to"),
        (r"\bwhat (?:are|is) the steps? (?:to|for)\b", "how to"),
        (r"\bwhat (?:do|should|must) (?:i|we) (?:need to |have to )?do to\b", "how to"),
        (r"\bin (?:what|which) way (?:do|can|could|should) (?:i|we)\b", "how to"),
        (r"\bhow to go about\b", "how to"),
        (r"\b(?:is it possible(?: for me)? to|(?:am|are) (?:i|we) able to|(?:can|could) (?:i|we)|"
         r"is there (?:a|any) way (?:to|for me to))\b", "i can"),
        (r"\bhow much (?:does|do|is|are|will|would) (.+?) cost\b", r"what is the price of \1"),
        (r"\bwhat does (.+?) cost\b", r"what is the price of \1"),
        (r"\bhow much (?:is|are) (?:the|an?) (.+)", r"what is the price of \1"),
        (r"^ *(what|where|who|when) ([\w ]+) (is|are)[?.! ]*$", r"\1 \3 \2"),
        (r"\bswitch(?= (?:it )?(?:on|off)\b)", "turn"),
        (r"\bwhat is the cost of\b", "what is the price of"),
        (r"\bwhat is the meaning of ([\w ]+)", r"what does \1 mean"),
        (r"\bthe reason (?:for|why)\b", "why"),
        (r"\b(?:have|has) to\b", "must"), (r"\bneed to\b", "must"),
        (r"\bwhat (?:time|moment) (?=do|is (?!it)|are|will|can)", "when "),
        (r"\bhow come\b", "why"),
    )
]  # fmt: skip
_START = r"(?<![\u4e00-\u9fff])"
_CHINESE = [
    (re.compile(pattern), to)
    for pattern, to in (
        (r"([\u4e00-\u9fff])不\1(?=可以|能够|需要|应该|允许)", ""),
        (r"([\u4e00-\u9fff]{1,2})不\1", r"\1"),
        (rf"{_START}你们(?=支持|有|可以|能|接受|提供)", ""),
        (r"在?哪[里儿]?(?=可以|能)", "哪里"),
        (r"需要(?=多久|多少|多长)", "要"),
        (r"从(?=[^，。]+到)", ""),
        (r"有没有", "有"),
        (r"是否(?=可以|能|有|需要|支持|会|要)", ""),
        (r"是否", "是"),
        (r"您好|你好|请问|多谢|劳驾|不好意思|打扰一下", ""),
        (r"谢谢(?:您|你|啦|了)?|拜托(?:您|你|了)?", ""),
        (r"麻烦(?:您|你)?(?=帮|告|给|问|说|把|查)", ""),
        (rf"{_START}请(?:您|你)?(?!假|客|教|求|帖|柬|愿)", ""),
        (rf"{_START}(?:您|你)?(?:可以|能够|能)?(?:帮我|替我|给我|帮忙|告诉我|跟我说|给我讲)(?:一下)?", ""),
        (rf"{_START}我?(?:想要|想|需要|希望|要)(?:知道|了解|咨询|请教|问)(?:一下|下)?", ""),
        (rf"{_START}(?:有?谁|有人)知道(?=.*[怎如何什哪几多为])", ""),
        (rf"{_START}我(?:想要?|要)(?![你您他她它])(?![^，。]*[吗么])", ""),
        (r"我?(?:应该|应当|该|要|得)?(?:怎么样?|怎样|如何)才(?:能|可以)", "如何"),
        (r"怎么办", "怎办"),
        (r"怎么回事", "怎回事"),
        (r"(怎么样|怎样|如何)(?=[?？。！!]*$)", "何如"),
        (r"怎么样", "如何"),
        (r"怎么(?=了(?!解)|不|没|还(?!款|钱|原|贷|书|清|车)|会(?!员|议|计|话))", "为什么"),
        (r"我?(?:应该|应当|该|要|得)?(?:怎么|怎样|如何|咋)(?:去|来)?", "如何"),
        (r"什么时候|什么时间|啥时候", "何时"),
        (r"什么地方|啥地方", "哪里"),
        (r"在哪里?儿?", "在哪里"),
        (r"什么原因", "为什么"),
        (r"多长时间|多少时间", "多久"),
        (r"是?多少钱|是?什么价格?|价格是多少|卖多少钱", "价格多少"),
        (r"有什么", "有哪些"),
        (r"(?:周|礼拜)(?=[一二三四五六日天])", "星期"),
        (r"天气情况|天气状况", "天气"),
        (r"我(?:自己)?的", ""),
        (r"一下子?|一点儿?(?=[吗呢吧]?[?？]?$)", ""),
    )
]

_CJK = "\u3400-\u9fff\uf900-\ufaff"
_PIECE = re.compile(
    rf"(?P<han>(?:(?<![\d.,:/])\d+)?[{_CJK}]+)|(?P<number>\d+(?:[.,:/]\d+)*)|(?P<word>[^\W\d_{_CJK}]+)|(?P<clause>[,.;!?\n，。；！？]+)"
    r"|(?P<symbol>(?<=[\s\d])[-–−](?=[\s\d])|[^\w\s'\"()\[\]{}:、“”‘’（）「」《》【】…·~`\-–—_])"
)
_DIGITS = dict(zip("零〇一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_UNITS = {"十": 10, "百": 100, "千": 1000}
_NUMERAL = re.compile("[零〇一二两三四五六七八九十百千][零〇一二两三四五六七八九十百千万亿]*")
_LEADING = re.compile(r"[1-9]\d?(?!\d)")
_KNOWN = re.compile(
    "({})".format("|".join(sorted((w for w in OPPOSITES if len(w) > 1 and not w.isascii()), key=len, reverse=True)))
)
# What may follow a numeral for it to count something: "三天", not "一般".
_MEASURES = frozenset(
    "个天年月日周号点次件条只张台本杯元块斤克米里位名人页章分秒时倍层楼家种类遍套瓶岁届期级折篇首字句行段双辆间栋座"
)
_TWO = re.compile("^二(?=[{}])".format("".join(sorted(_MEASURES))))
_CAPITAL = re.compile(r"(?<=\w )\b(?:{})\b".format("|".join(sorted(CAPITAL_WORDS))))


def capitals(text: str) -> str:
    """Return the text with words marked that mean something else in capitals ("US", "Turkey")."""
    if text.isupper():
        return text
    return _CAPITAL.sub(lambda word: f"{word[0]}proper", text)


def clauses_of(text: str) -> tuple[Words, ...]:
    """Return the content words of a prompt, clause by clause, each in the form that stands for its synonyms."""
    return _read(text) if len(text) > LONG else _remembered(text)


@lru_cache(maxsize=4096)
def _remembered(text: str) -> tuple[Words, ...]:
    return _read(text)


def _read(text: str) -> tuple[Words, ...]:
    spoken = normalise(capitals(text))
    if len(spoken) <= LONG:
        for pattern, to in (*_ENGLISH, *_CHINESE):
            spoken = pattern.sub(to, spoken)
    clauses: list[list[str]] = [[]]
    for piece in _PIECE.finditer(spoken):
        if piece["clause"]:
            clauses.append([])
        elif piece["han"]:
            clauses[-1] += _han(piece["han"])
        else:
            clauses[-1] += _latin(piece)
    return tuple(tuple(clause) for clause in clauses if clause)


def _latin(piece: re.Match[str]) -> list[str]:
    word = piece[0]
    if not piece["word"]:
        return [word.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+", word) else word]
    if word in FILLER:
        return []
    if word in ENGLISH_NUMBERS:
        return [ENGLISH_NUMBERS[word]]
    if word in ("is", "are", "am", "was", "were"):
        return ["was" if word.startswith("w") else "is"]
    return [SYNONYMS.get(word) or SYNONYMS.get(singular(word)) or singular(word)]


def singular(word: str) -> str:
    """Return an English word without the ending of a plural or of the third person."""
    if len(word) < 4 or not word.endswith("s") or word in NO_PLURAL or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zzes")):
        return word[:-2]
    return word[:-1]


def _han(run: str) -> list[str]:
    words = []
    for word in _verb_first(_cut(run)):
        if word in FILLER:
            continue
        numeral = _NUMERAL.match(word)
        if numeral and (numeral.end() == len(word) or word[numeral.end() :] in _MEASURES):
            words.append(str(numeral_value(numeral[0])))
            if (rest := word[numeral.end() :]) and rest not in FILLER:
                words.append(rest)
        else:
            words.append(SYNONYMS.get(word, word))
    return words


def _cut(run: str) -> list[str]:
    """Cut a run of characters into words; those the tables know are never cut through.

    A number before it is written out first: "7天" and "七天" are else cut in different places.
    """
    run = _LEADING.sub(lambda number: numeral_of(int(number[0])), run, count=1)
    run = _TWO.sub("两", run)
    return [word for part in _KNOWN.split(run) if part for word in ([part] if part in OPPOSITES else rjieba.cut(part))]


def _verb_first(words: list[str]) -> list[str]:
    """Return "把 X verb" as "verb X"."""
    if "把" not in words:
        return words
    place = words.index("把")
    for verb in range(place + 2, len(words)):
        if any(kind == "v" for _, kind in rjieba.tag(words[verb])):
            return [*words[:place], words[verb], *words[place + 1 : verb], *words[verb + 1 :]]
    return words


def numeral_of(number: int) -> str:
    """Return a number from 1 to 99 as a Chinese numeral."""
    tens, ones = divmod(number, 10)
    return (
        ("" if tens < 2 else "零一二三四五六七八九"[tens])
        + ("十" if tens else "")
        + ("一二三四五六七八九"[ones - 1] if ones else "")
    )


def numeral_value(text: str) -> int:
    """Return the number a Chinese numeral writes: 二十三 is 23, 一万零五 is 10005, 二〇二六 is 2026."""
    if not any(c in "十百千万亿" for c in text):
        return int("".join(str(_DIGITS[c]) for c in text))
    total, section, digit = 0, 0, 0
    for c in text:
        if c in _DIGITS:
            digit = _DIGITS[c]
        elif c in _UNITS:
            section += (digit or 1) * _UNITS[c]
            digit = 0
        else:
            total = (total + section + digit or 1) * (10_000 if c == "万" else 100_000_000)
            section = digit = 0
    return total + section + digit
