"""The world of the tales: characters, places, traits and things. Data only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A place where a tale can happen."""

    name: str
    """As in `in {name}`."""
    landmark: str
    water: str
    path: str


@dataclass(frozen=True)
class Trait:
    """A trait of a character, and how it shows."""

    word: str
    habits: tuple[str, ...]
    deed: str
    """What it makes the character do at the turning point, in the past tense."""


KINDS = (
    "fox", "hare", "badger", "otter", "hedgehog", "mouse", "squirrel", "owl", "crow", "wren",
    "bear", "wolf", "deer", "mole", "frog", "goose", "cat", "goat", "donkey", "beaver",
    "baker", "miller", "weaver", "potter", "gardener", "shepherd", "fisher", "tailor", "piper", "clockmaker",
    "girl", "boy", "princess", "giant", "dragon", "witch", "knight", "robot", "ghost", "sailor",
)  # fmt: skip

SHE_NAMES = (
    "Mara", "Tilda", "Nell", "Wren", "Hazel", "Posy", "Greta", "Ida", "Luna", "Fern",
    "Olive", "Sable", "Clover", "Bryn", "Juniper", "Maud", "Poppy", "Elsie", "Rosa", "Vera",
)  # fmt: skip
HE_NAMES = (
    "Pip", "Oren", "Finn", "Bram", "Tobin", "Alder", "Rufus", "Jory", "Hugo", "Milo",
    "Basil", "Otto", "Ned", "Gus", "Rowan", "Felix", "Barnaby", "Silas", "Theo", "Wilf",
)  # fmt: skip

ELDERS = (
    "the old heron", "the grey tortoise", "Grandmother Ash", "the blind raven", "Old Marrow the toad",
    "the keeper of the bees", "Aunt Thistle", "the ferryman", "the white stag", "the lamplighter",
    "Old Bess the mare", "the widow on the hill",
)  # fmt: skip

PLACES = (
    Place("the village of Alder Bridge", "the mill", "the river", "the cobbled lane"),
    Place("the valley of Hollow Fen", "the bell tower", "the marsh", "the plank path"),
    Place("the forest of Underbough", "the great oak", "the brook", "the deer track"),
    Place("the harbour town of Gull Rock", "the lighthouse", "the sea", "the harbour wall"),
    Place("the hills of Merrow Down", "the stone circle", "the spring", "the sheep path"),
    Place("the mountain village of High Saddle", "the watchtower", "the waterfall", "the steep road"),
    Place("the island of Little Skerry", "the chapel", "the bay", "the shell path"),
    Place("the orchard at Plum Corner", "the cider house", "the pond", "the garden wall"),
    Place("the city of a Hundred Stairs", "the clock tower", "the canal", "the longest stair"),
    Place("the meadow by Three Willows", "the crooked willow", "the stream", "the hedge"),
    Place("the desert town of Amber Well", "the market gate", "the well", "the caravan road"),
    Place("the snowy land of Frostholm", "the ice hall", "the frozen lake", "the sledge trail"),
)

THINGS = (
    "silver bell", "red kite", "brass key", "blue scarf", "wooden flute", "glass marble", "copper lantern",
    "green umbrella", "golden acorn", "little drum", "painted cup", "woollen hat", "pocket watch",
    "paper boat", "pearl button", "patchwork quilt", "tin whistle", "yellow ribbon",
)  # fmt: skip

FOODS = (
    "honey cake", "onion soup", "apple pie", "barley bread", "plum jam", "pumpkin stew", "ginger biscuits",
    "berry tart", "mushroom pie", "warm chestnuts",
)  # fmt: skip

WEATHERS = (
    "bright and windy", "grey and quiet", "as cold as iron", "warm and full of bees", "wet with dew",
    "thick with fog", "clear after the rain", "white with frost",
)  # fmt: skip

DAYS = (
    "one spring morning", "one summer evening", "one autumn afternoon", "one winter night",
    "on market day", "on the longest day of the year", "early one morning", "late one evening",
    "on the day of the harvest fair", "on the first day of snow",
)  # fmt: skip

TRAITS = (
    Trait("curious", ("{He} asked more questions than there were stones in {water}.",
                      "{He} could not pass a closed door without wondering what was behind it."),
          "looked closely where others had only looked once"),
    Trait("brave", ("{He} was not afraid of thunder, or of the dark, or even of {landmark} at midnight.",
                    "When others stepped back, {he} stepped forward."),
          "took a deep breath and went first"),
    Trait("shy", ("{He} liked best to sit near {landmark} and say nothing at all.",
                  "{He} spoke so softly that people had to lean close to hear."),
          "spoke up at last, in a small clear voice"),
    Trait("clever", ("{He} could solve any riddle before the kettle boiled.",
                     "{He} kept a notebook full of plans and little drawings."),
          "thought of a plan and drew it in the dust"),
    Trait("stubborn", ("Once {he} had begun a thing, nothing could make {him} stop.",
                       "People said it was easier to move {landmark} than to change {his} mind."),
          "would not give up, not even when everyone else was tired"),
    Trait("gentle", ("Even the sparrows ate from {his} hand.",
                     "{He} never raised {his} voice, and never needed to."),
          "said a kind word instead of an angry one"),
    Trait("forgetful", ("{He} put things in safe places and never found them again.",
                        "{He} often went out for bread and came home with a stone."),
          "remembered, just in time, what mattered most"),
    Trait("proud", ("{He} told everyone that nobody did anything half so well.",
                    "{He} polished {his} buttons every morning and every night."),
          "swallowed {his} pride and asked for help"),
    Trait("lazy", ("{He} could fall asleep on {path} in the middle of the day.",
                   "{He} always said that tomorrow was a better day for work."),
          "got up and worked harder than anyone had ever seen"),
    Trait("cheerful", ("{He} whistled while {he} worked, and {he} whistled while {he} rested.",
                       "Wherever {he} went, people found that they were smiling."),
          "made everyone laugh, and then the work was light"),
    Trait("careful", ("{He} counted everything twice and tied every knot three times.",
                      "{He} always tested the ice before taking a step."),
          "went slowly and made no mistake"),
    Trait("generous", ("Whatever {he} had, {he} cut in half, and gave away the bigger piece.",
                       "{His} door was never locked and {his} table was never empty."),
          "gave away the last thing that {he} had"),
    Trait("grumpy", ("{He} grumbled at the sun for shining and at the rain for falling.",
                     "{He} had not smiled since the last harvest fair."),
          "smiled, and it was like the sun coming up"),
    Trait("restless", ("{He} had walked every path, and wanted to know where the next one went.",
                       "{He} could not sit still, not even for supper."),
          "ran all the way there and all the way back"),
)  # fmt: skip
