"""Generates the corpus: short tales from a grammar over `world` and `plots`, the same for the same seed.

A document is a plain tale, a request with its tale, or a chat in which further requests continue the tale. It
contains the three special tokens as text.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from export.demo.plots import PLOTS, Plot
from export.demo.world import (
    DAYS,
    ELDERS,
    FOODS,
    HE_NAMES,
    KINDS,
    PLACES,
    SHE_NAMES,
    THINGS,
    TRAITS,
    WEATHERS,
    Place,
    Trait,
)

END = "<|endoftext|>"
USER = "<|user|>"
TALE = "<|tale|>"

_OPENINGS = (
    "Once upon a time, in {place}, there lived {a_trait} {kind} named {name}.",
    "In {place} there lived {a_trait} {kind} whose name was {name}.",
    "Long ago, {a_trait} {kind} called {name} lived near {landmark} in {place}.",
    "{Name} was {a_trait} {kind} who lived in {place}, close to {water}.",
    "There was once {a_trait} {kind} named {name}, and {his} home was in {place}.",
    "Nobody in {place} was as {trait} as {name} the {kind}.",
)
_WEATHER = ("The day was {weather}.", "The air was {weather}.", "It was {weather} that day.")
_CLOSINGS = (
    "And that is how {name} the {kind} came to be loved in {place}.",
    "Ever since, when someone in {place} is {trait}, people think of {name} and smile.",
    "{Name} and {friend} tell this story still, and every time it is a little longer.",
    '"What shall we do tomorrow?" asked {friend}. "Something small," said {name}, and they fell asleep.',
    "That night {name} slept well, and {water} sang under the window.",
    "And if they have not moved away, they live there still.",
    "The end.",
)
_REQUESTS = (
    "Tell me a tale about {a_kind}.",
    "Tell me a tale about {a_kind} named {name}.",
    "Tell me a story about {a_trait} {kind}.",
    "Tell me a tale about {subject}.",
    "Please tell me a story about {name} the {kind} and {subject}.",
    "Write a short story about {a_kind} and {subject}.",
    "I would like to hear a tale about {a_kind} and {a_fkind}.",
    "Can you tell me a bedtime story about {a_kind}?",
    "Tell me a tale from {place}.",
    "Tell me a story.",
    "Hello! Do you know a story with a {thing} in it?",
)
_TITLES = (
    "The {Kind} and {subject}",
    "{Name} the {Kind}",
    "{Name} and {friend}",
    "The {Trait} {Kind}",
)
_MORE = (
    "What happened next?",
    "Tell me more about {name}.",
    "And then?",
    "What did {name} do after that?",
    "Another one about {name} and {friend}, please.",
    "Tell me another tale about {name} and {subject}.",
)
_SEQUEL_OPENINGS = (
    "A week later, {name} the {kind} was sitting near {landmark} again.",
    "After that, {name} and {friend} were seldom apart.",
    "When the season turned, there was more trouble in {place}.",
    "{Name} was still {a_trait} {kind}, and {place} was still {his} home.",
)

_PRONOUNS = {"she": ("she", "her", "her"), "he": ("he", "him", "his")}


@dataclass(frozen=True)
class Person:
    """A person in a tale."""

    name: str
    kind: str
    pronouns: tuple[str, str, str]
    """Subject, object and possessive: he, him, his."""


@dataclass(frozen=True)
class Cast:
    """The characters and the place of a tale; a sequel keeps them."""

    hero: Person
    friend: Person
    elder: str
    place: Place
    trait: Trait


def documents(seed: int, count: int, turns: int = 1) -> Iterator[str]:
    """Yields `count` documents of up to `turns` requests, or scenes if `turns` is 0; all end in `END`."""
    rng = random.Random(seed)
    for _ in range(count):
        yield document(rng, rng.randint(1, turns)) if turns else scene(rng)


def document(rng: random.Random, turns: int) -> str:
    """Generates a tale, mostly with its request; further turns are requests with sequels."""
    cast = _cast(rng)
    first, *later = rng.sample(PLOTS, turns)
    opening = _opening(rng, _slots(rng, cast, first), first, plain=0.4 if turns == 1 else 0)
    return opening + "".join(_continuation(rng, _slots(rng, cast, plot), plot) for plot in later)


def scene(rng: random.Random) -> str:
    """Generates the opening, one event and the closing of a tale.

    Scenes come first in training: to whom a name refers is learnt sooner at a short distance.
    """
    plot = rng.choice(PLOTS)
    slots = _slots(rng, _cast(rng), plot)
    moment = _say(rng, rng.choice(plot.stages), slots)
    return " ".join([_say(rng, _OPENINGS, slots), moment, _say(rng, _CLOSINGS, slots)]) + END


def _opening(rng: random.Random, slots: Mapping[str, str], plot: Plot, plain: float) -> str:
    tale = _tale(rng, plot, slots) + END
    style = rng.random()
    if style < 0.7 * plain:
        return tale
    if style < plain:
        return f"{_say(rng, _TITLES, slots)}\n\n{tale}"
    return f"{USER}{_request(rng, _REQUESTS, slots)}{TALE}{tale}"


def _continuation(rng: random.Random, slots: Mapping[str, str], plot: Plot) -> str:
    return f"{USER}{_request(rng, _MORE, slots)}{TALE}{_sequel(rng, plot, slots)}{END}"


def _cast(rng: random.Random) -> Cast:
    kind, friend_kind = rng.sample(KINDS, 2)
    hero = _person(rng, kind, taken="")
    return Cast(
        hero=hero,
        friend=_person(rng, friend_kind, taken=hero.name),
        elder=rng.choice(ELDERS),
        place=rng.choice(PLACES),
        trait=rng.choice(TRAITS),
    )


def _person(rng: random.Random, kind: str, taken: str) -> Person:
    only = {"girl": "she", "princess": "she", "witch": "she", "boy": "he"}.get(kind)
    pronoun = only or rng.choice(("she", "he"))
    names = SHE_NAMES if pronoun == "she" else HE_NAMES
    return Person(rng.choice([name for name in names if name != taken]), kind, _PRONOUNS[pronoun])


def _slots(rng: random.Random, cast: Cast, plot: Plot) -> dict[str, str]:
    he, him, his = cast.hero.pronouns
    fhe, fhim, fhis = cast.friend.pronouns
    slots = {
        "name": cast.hero.name, "kind": cast.hero.kind, "he": he, "him": him, "his": his,
        "friend": cast.friend.name, "fkind": cast.friend.kind, "fhe": fhe, "fhim": fhim, "fhis": fhis,
        "elder": cast.elder, "place": cast.place.name, "landmark": cast.place.landmark,
        "water": cast.place.water, "path": cast.place.path, "trait": cast.trait.word,
        "a_kind": _with_article(cast.hero.kind), "a_fkind": _with_article(cast.friend.kind),
        "a_trait": _with_article(cast.trait.word), "thing": rng.choice(THINGS), "food": rng.choice(FOODS),
        "weather": rng.choice(WEATHERS), "day": rng.choice(DAYS),
    }  # fmt: skip
    slots["deed"] = _fill(cast.trait.deed, slots)
    slots["habit"] = _fill(rng.choice(cast.trait.habits), slots)
    slots["subject"] = _fill(plot.subject, slots)
    return slots


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"


def _tale(rng: random.Random, plot: Plot, slots: Mapping[str, str]) -> str:
    lines = [_say(rng, _OPENINGS, slots), slots["habit"]]
    return _text(lines + _events(rng, plot, slots))


def _sequel(rng: random.Random, plot: Plot, slots: Mapping[str, str]) -> str:
    return _text([_say(rng, _SEQUEL_OPENINGS, slots), *_events(rng, plot, slots)])


def _events(rng: random.Random, plot: Plot, slots: Mapping[str, str]) -> list[str]:
    first, *rest = (_say(rng, stage, slots) for stage in plot.stages)
    weather = [_say(rng, _WEATHER, slots)] if rng.random() < 0.3 else []
    closing = [_say(rng, _CLOSINGS, slots)] if rng.random() < 0.8 else []
    return [first, *weather, *rest, *closing]


def _request(rng: random.Random, variants: tuple[str, ...], slots: Mapping[str, str]) -> str:
    """Generates a request, sometimes as people type it: in lower case, without the final mark."""
    request = _say(rng, variants, slots)
    return request.lower().rstrip(".?") if rng.random() < 0.15 else request


def _text(lines: list[str]) -> str:
    """Joins lines to two paragraphs of equal length."""
    middle = len(lines) // 2
    return " ".join(lines[:middle]) + "\n" + " ".join(lines[middle:])


def _say(rng: random.Random, variants: tuple[str, ...], slots: Mapping[str, str]) -> str:
    return _fill(rng.choice(variants), slots)


def _fill(template: str, slots: Mapping[str, str]) -> str:
    """Fills the slots of `template`; a capitalised slot capitalises its value."""

    def value(match: re.Match[str]) -> str:
        slot = match.group(1)
        text = slots[slot[0].lower() + slot[1:]]
        return text[0].upper() + text[1:] if slot[0].isupper() else text

    return re.sub(r"{(\w+)}", value, template)
