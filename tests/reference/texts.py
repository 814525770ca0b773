# ruff: noqa: RUF001 - letters of many alphabets look alike
"""Texts and conversations on which tokenizers and templates are compared. Pure; any Python reads it."""

from random import Random

CORPUS = (
    "",
    " ",
    "Hello, world!",
    " It begins with a space",
    "It ends with two  ",
    "Isn't it what we'll say they've DONE? I'm sure he'd've.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "Où est le cœur de l'été ? Là-bas, dit-elle.",
    "¿Cuándo llegó el pingüino? ¡Mañana!",
    "Zażółć gęślą jaźń, proszę.",
    "İstanbul'da ışık ve ILIK çay",
    "Tiếng Việt có nhiều dấu thanh",
    "Съешь ещё этих мягких булок.",
    "Ο ήλιος λάμπει πάνω από τη θάλασσα.",
    "العربية تُكتب من اليمين إلى اليسار، مثل ١٢٣.",
    "שלום עולם, מה שלומך?",
    "नमस्ते दुनिया, आप कैसे हैं?",
    "ภาษาไทยไม่มีช่องว่างระหว่างคำ",
    "தமிழ் எழுத்துக்கள்",
    "ሰላም ለዓለም",
    "你好，世界！今天天气很好。",
    "東京へ行きます。カタカナとひらがな、全角１２３。",
    "안녕하세요 세계, \u1112\u1161\u11ab\u1100\u1173\u11af",
    "🙂🙃 plain, 👍🏽 with a tone, 👩‍👩‍👧‍👦 a family, 🏳️‍🌈 a flag, 🇩🇪🇯🇵 two more, 5️⃣ a keycap",
    "e\u0301 and é, A\u030a and Å, q\u0323\u0307 and q\u0307\u0323, z\u0310\u0351\u0302\u0336",
    "ﬁnal ﬂat ½ ² Ⅷ ™ ſ",
    "\u2581 is a block, Ġ and Ċ are letters, <0x0A> is five characters and more",
    "a\u00a0b\u2003c\u200bd\u200de\ufefff\u2028g\u3000h",
    "one\ntwo\r\nthree\rfour\n\n\n\nfive",
    "\n",
    "\t\tif x:\n\t\t\treturn  x   # four   spaces\n        y = [1, 2]\n",
    "def f(a: int = 0) -> str:\n    return f'{a!r:>{10}}' if a else \"\\n\"\n",
    '{"key": [1.5e-3, null, true], "path": "C:\\\\temp\\\\é"}',
    "<div class='a'>&lt;b&gt; &amp; <!-- no --></div>",
    "SELECT * FROM t WHERE n >= 10 AND s LIKE '%x_%'; -- all",
    "0 12 345 6789 1,234,567.89 0x1F 3.14159265 20240229 ٣٤٥",
    "https://example.org/a/b?q=1&r=%20#top user@example.org",
    "a" * 40 + "b" * 40,
    " " * 17 + "x" + "\n" * 9 + "\t" * 5,
    "NUL \x00 BEL \x07 ESC \x1b DEL \x7f NEL \x85",
    "\ufffd and \U0010ffff and \ue000",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛 𐍈 𒀀",
    "<s>not the beginning</s> <unk><pad> <|endoftext|><|im_start|>user",
    "<|im_end|> \n <|end|>   x<|end|>y <end_of_turn>\n[INST] a [/INST]<|eot_id|>",
    "wordword <think>wordword</think>wordword",
)

PIECES = (
    *"abcdefghijklmnopqrstuvwxyzABCXYZ0123456789 \n\t\r.,;:!?'\"()[]{}<>/\\|_-+=*&%$#@~`^",
    *("  ", "    ", "\r\n", "the ", " and", "ing", "'s", "n't", "1234", "ß", "é", "e\u0301", "ü", "ñ"),
    *("и", "ж", "λ", "ע", "ة", "ह", "ी", "ไ", "日", "本", "語", "한", "국", "\u1112\u1161\u11ab", "、"),
    *(
        "🙂",
        "👩‍👧",
        "🇩🇪",
        "👍🏽",
        "\u200d",
        "\ufe0f",
        "\u0301",
        "\u00a0",
        "\u2581",
        "Ġ",
        "\x00",
        "\x85",
        "\ufeff",
    ),
    *("<0x41>", "<s>", "</s>", "<|im_start|>", "<|end|>", "<think>", "ﬁ", "Å", "𐍈", "\U000e0001"),
)


def random_texts(number: int, seed: int = 0) -> list[str]:
    """Each of up to 30 pieces, among them some of any characters."""
    random = Random(seed)
    return ["".join(_piece(random) for _ in range(random.randrange(30))) for _ in range(number)]


def _piece(random: Random) -> str:
    return random.choice(PIECES) if random.random() < 0.9 else _character(random)


def _character(random: Random) -> str:
    code = random.choice((random.randrange(0x300), random.randrange(0x3000), random.randrange(0x110000)))
    return "?" if 0xD800 <= code < 0xE000 else chr(code)


def _chat(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


CHATS = (
    _chat(("user", "Hi!")),
    _chat(("system", "Be brief."), ("user", "Why is the sky blue?")),
    _chat(("system", "Be brief."), ("user", "One?"), ("assistant", "Two."), ("user", "Three?")),
    _chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")),
    _chat(("user", " \n padded\t"), ("assistant", "\n\n answer \n"), ("user", "again  ")),
    _chat(("user", "<b>&amp; \"quoted\" 'single' {{ x }} {% if %} é 日本 🙂")),
    _chat(("user", "</s><|im_end|><|eot_id|><end_of_turn> [INST] no [/INST]")),
    _chat(("user", "How?"), ("assistant", "<think>\nHm.\n</think>\n\nSo."), ("user", "And?")),
    _chat(("user", "")),
    _chat(("user", "one"), ("user", "two")),
    _chat(("assistant", "I begin."), ("user", "No.")),
    _chat(("user", "one"), ("assistant", "two")),
    _chat(("system", "only this")),
    _chat(("user", "one"), ("system", "late"), ("user", "two")),
    _chat(("system", "first"), ("system", "second"), ("user", "one")),
    [{"role": "user", "content": "My name is known.", "name": "Ada"}],
)
