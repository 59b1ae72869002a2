"""The records of the workload: record `i` of a seed, whatever the size of the harvest it ends up in.

The values are as untidy as harvested ones: stray white space, repeated and blank values, joined subjects, nine ways to
write a date, deleted records.
"""

import random
from itertools import accumulate

from kit.spec import DC

SETS = 1_020
"""Twenty more than there are collections, so that some records match none."""
DELETED_SHARE = 0.03

SYLLABLES = (
    "ba ce di fo gu ha je ki lo mu na pe qui ro su ta ve wi xo yu za bre cla dri flo gru ple sta tro vri é ñu ö ção à"
).split()
TYPES = [
    "Image",
    "image",
    "StillImage",
    "still image",
    "Text",
    "text",
    "TEXT",
    "Sound",
    "sound recording",
    "MovingImage",
    "moving image",
    "Dataset",
    "Physical Object",
    "PhysicalObject",
    "Collection",
    "Map",
    "Photograph",
    " Text ",
    "Interactive Resource",
    "Event",
    "Software",
]
RIGHTS = [
    "http://rightsstatements.org/vocab/InC/1.0/",
    "http://rightsstatements.org/vocab/NoC-US/1.0/",
    "https://creativecommons.org/licenses/by/4.0/",
    "Copyright status unknown. Some materials in these collections may be protected by the U.S. Copyright Law "
    "(Title 17, U.S.C.) and/or by the copyright or neighboring-rights laws of other nations.",
    "Public domain; no known restrictions & free to reuse.",
]
LANGUAGES = ["eng", "en", "spa", "fre", "ger", "chi", "jpn", "English", "por", "zxx"]
FORMATS = [
    "image/jpeg",
    "image/tiff",
    "application/pdf",
    "audio/mpeg",
    "video/mp4",
    "text/html",
    "1 photograph : b&w ; 8 x 10 in.",
]
MONTHS = ("January February March April May June July August September October November December").split()


class Pools:
    """Words, subjects, names and places that all records draw from; a few are frequent, most are rare."""

    def __init__(self, seed: int):
        rng = random.Random(f"pools-{seed}")
        words = {}
        while len(words) < 12_000:
            words["".join(rng.choice(SYLLABLES) for _ in range(rng.choice((1, 2, 2, 3, 3, 4))))] = None
        self.words = list(words)
        self.word_weights = list(accumulate(1.0 / (rank + 8) for rank in range(len(self.words))))
        self.subjects = [self._subject(rng) for _ in range(8_000)]
        self.subject_weights = list(accumulate(1.0 / (rank + 20) for rank in range(len(self.subjects))))
        self.names = [self._name(rng) for _ in range(20_000)]
        self.publishers = [self.phrase(rng, 3).title() for _ in range(300)]
        self.places = [self.phrase(rng, 2).title() + ", California" for _ in range(600)]

    def phrase(self, rng: random.Random, length: int) -> str:
        """So many words, frequent ones more often."""
        return " ".join(rng.choices(self.words, cum_weights=self.word_weights, k=length))

    def subject_terms(self, rng: random.Random, count: int) -> list[str]:
        """So many subject terms, frequent ones more often."""
        return rng.choices(self.subjects, cum_weights=self.subject_weights, k=count)

    def _subject(self, rng: random.Random) -> str:
        term = self.phrase(rng, rng.choice((1, 2, 2, 3))).capitalize()
        return term + rng.choice(("", "", "", " -- History", " -- California", " (Calif.)", " & society"))

    def _name(self, rng: random.Random) -> str:
        family, given = self.phrase(rng, 1).capitalize(), self.phrase(rng, 1).capitalize()
        dates = rng.choice(("", " ", ", 18")) + rng.choice(("", "", "70-1945", "98-"))
        return f"{family}, {given}{dates}"


def untidy(rng: random.Random, text: str) -> str:
    """The text, three times in ten with stray white space."""
    kind = rng.random()
    if kind < 0.70:
        return text
    if kind < 0.80:
        return f"  {text} "
    if kind < 0.90:
        return text.replace(" ", "  ", 2)
    if kind < 0.96:
        return text.replace(" ", "\n      ", 1) + "\n"
    return "\t" + text.replace(" ", "\t ", 1)


def written_date(rng: random.Random) -> str:
    """A day in one of nine notations."""
    year, month, day = rng.randint(1845, 2024), rng.randint(1, 12), rng.randint(1, 28)
    return rng.choice(
        (
            f"{year}",
            f"{year}-{month:02}-{day:02}",
            f"{year}-{month:02}",
            f"circa {year}",
            f"{month}/{day}/{year}",
            f"between {year} and {year + 3}",
            f"[{year}?]",
            f"{year}-{month:02}-{day:02}T00:00:00Z",
            f"{MONTHS[month - 1]} {day}, {year}",
        )
    )


def datestamp(rng: random.Random) -> str:
    """When the repository last touched the record."""
    on = f"{rng.randint(2010, 2026)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    return f"{on}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}Z"


def record(seed: int, index: int, pools: Pools) -> dict:
    """Record `index` of the workload. The order of the draws is part of the workload: keep it."""
    rng = random.Random(seed * 1_000_003 + index)
    set_number = int(SETS * rng.random() ** 2)
    sets = [f"coll_{set_number:04d}"]
    if rng.random() < 0.10:
        sets.append(f"topic_{rng.randrange(40)}")
    header = {
        "id": f"oai:repo{set_number % 7}.example.org:coll_{set_number:04d}/{index:09d}",
        "datestamp": datestamp(rng),
        "status": None,
        "setSpec": sets,
    }
    if rng.random() < DELETED_SHARE:
        return header | {"status": "deleted"}
    values = metadata(rng, index, set_number, pools)
    return header | {"metadata": {element: values[element] for element in DC if element in values}}


def metadata(rng: random.Random, index: int, set_number: int, pools: Pools) -> dict[str, list[str]]:
    """The values of a record, by element."""
    values = {"title": titles(rng, pools)}
    if rng.random() < 0.85:
        values["creator"] = [untidy(rng, rng.choice(pools.names)) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    if rng.random() < 0.25:
        values["contributor"] = [rng.choice(pools.names) for _ in range(rng.choice((1, 2)))]
    found = subjects(rng, pools)
    if rng.random() < 0.93:
        values["subject"] = found
    if rng.random() < 0.88:
        values["description"] = [
            untidy(rng, pools.phrase(rng, rng.randint(15, 90)).capitalize() + ".")
            for _ in range(rng.choice((1, 1, 1, 2)))
        ]
    values["publisher"] = [rng.choice(pools.publishers)]
    dates = [written_date(rng) for _ in range(rng.choice((1, 1, 1, 2)))]
    if rng.random() < 0.04:
        dates.insert(0, "undated")
    if rng.random() < 0.95:
        values["date"] = dates
    if rng.random() < 0.97:
        values["type"] = [rng.choice(TYPES) for _ in range(rng.choice((1, 1, 1, 2)))]
    values["format"] = [rng.choice(FORMATS) for _ in range(rng.choice((1, 1, 2)))]
    values["identifier"] = [
        f"local_{index}_{rng.randrange(10**6):06d}",
        f"https://digital.example.org/collection/{set_number}/item/{index}?view=full&page=1",
        f"ark:/13030/k{rng.randrange(16**8):08x}",
    ][: rng.choice((2, 3, 3))]
    values["language"] = [rng.choice(LANGUAGES)]
    if rng.random() < 0.4:
        values["relation"] = [
            pools.phrase(rng, 4).title() + " Collection",
            f"https://oac.example.org/findaid/ark:/13030/c{rng.randrange(16**7):07x}/",
        ]
    if rng.random() < 0.5:
        values["coverage"] = [rng.choice(pools.places) for _ in range(rng.choice((1, 2)))]
    values["rights"] = [rng.choice(RIGHTS) for _ in range(rng.choice((1, 1, 2)))]
    if rng.random() < 0.2:
        values["source"] = [pools.phrase(rng, 5).title()]
    return values


def titles(rng: random.Random, pools: Pools) -> list[str]:
    """One to three titles, now and then after a blank one."""
    found = []
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        title = pools.phrase(rng, rng.randint(3, 11)).capitalize()
        number = f", no. {rng.randint(1, 400)}"
        rest = rng.choice(("", "", "", " : a <portrait>", ' & other "papers"', " 日本の写真", number))
        found.append(untidy(rng, title + rest))
    if rng.random() < 0.05:
        found.insert(0, "   ")
    return found


def subjects(rng: random.Random, pools: Pools) -> list[str]:
    """One to five values, each of one to three terms joined by semicolons; some repeat a value."""
    found = []
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        terms = rng.choice((1, 1, 1, 2, 3))
        joint = rng.choice((";", "; ", " ; "))
        found.append(untidy(rng, joint.join(pools.subject_terms(rng, terms))))
    if rng.random() < 0.15:
        found.append(found[0])
    if rng.random() < 0.05:
        found.append(found[0] + ";")
    return found
