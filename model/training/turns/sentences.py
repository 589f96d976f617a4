"""Draws sentences to an assistant with marked pauses: texts for `asr_endpoint_dataset.py`. Pure data, by seed.

    "I put the keys | in the kitchen."     complete up to the mark, but continued
    "I would like to | cancel my order."   incomplete at the mark

The mark is that of `data/turns.toml`, whose sentences are not among these.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Final

_SLOTS: Final[dict[str, str]] = {
    "who": "my sister|my neighbour|our teacher|the manager|my uncle|the plumber|a friend of mine|the woman next door",
    "name": "Oliver|Susan|Martin|Helen|Tom|Laura|Frank|Nina|George|Emily",
    "thing": "sofa|laptop|jacket|camera|washing machine|guitar|backpack|bicycle|mirror|suitcase|blanket|headset",
    "food": "rice|cheese|oranges|coffee|mushrooms|tomatoes|yoghurt|pasta|pepper|cucumbers|honey|flour",
    "fruit": "pears|plums|grapes|cherries|lemons|melons|peaches",
    "place": "at the airport|in the garden|in the basement|at my mother's house|on the balcony|next to the bank"
    "|behind the church|in the old part of town|at the market|in a small shop",
    "city": "Vienna|Boston|Lisbon|Prague|Dublin|Oslo|Chicago|Athens|Warsaw|Milan|Toronto",
    "time": "last Friday|yesterday afternoon|two weeks ago|this morning|on Sunday evening|before lunch|in the summer",
    "soon": "tonight|on Tuesday|at half past six|next week|tomorrow evening|in two hours|before dinner",
    "purpose": "for the weekend|with my colleagues|for my brother|without any help|for about twenty minutes"
    "|because of the rain|with a credit card|for the whole family",
    "past": "bought a {thing}|lost my {thing}|repaired the {thing}|saw {name}|sold the old {thing}|found a {thing}"
    "|met {name}|cleaned the {thing}|ordered some {food}|painted the fence|missed the bus|broke a window",
    "do": "buy a {thing}|talk to {name}|book a room|change my password|return the {thing}|send a parcel"
    "|cook some {food}|learn to swim|open an account|rent a car|fix the {thing}|order some {food}|pay the bill"
    "|find a doctor",
    "state": "is much too loud|is still under repair|does not start|was delivered|has a scratch|is out of stock"
    "|keeps falling down|looks fine to me|stopped working",
    "num": "two|three|four|six|eight|nine|five|seven|one|zero|oh",
    "letter": "B|C|D|F|G|H|K|L|M|N|P|R|S|T|V|Z|A|E|O",
    "join": "and|but|so|because|although|while",
    "hour": "seven|half past eight|ten fifteen|midnight|quarter to five|nine",
}

_PAUSED: Final = (
    *("I {past} | {time}.", "We {past} | {place}.", "{name} {past} | {purpose}.", "She {past} | {place}."),
    *("I want to {do} | {soon}.", "Please {do} | {soon}.", "Can you {do} | {purpose}?", "Where can I {do} | {soon}?"),
    *("The {thing} {state} | {join} nobody knows why.", "There is a {thing} | {place}.", "I saw {name} | {place}."),
    *("Remind me to {do} | {soon}.", "Who wants to {do} | {purpose}?", "I have lived in {city} | for six years."),
    *("How long does it take to {do} | in {city}?", "Tell {name} that I am late | {purpose}."),
    *("I'd like to | {do}.", "Could you please | {do}?", "My {thing} is | {place}.", "I need a | {thing}."),
    *("What is the price of the | {thing}?", "{who} wants to | {do}.", "I was going to | {do} {soon}."),
    *(
        "I left it in the | {thing}.",
        "Do you know how to | {do}?",
        "Is there a flight to | {city}?",
        "We are | {place}.",
    ),
    *(
        "I don't know where | {name} is.",
        "It was {name} who | {past}.",
        "He said he would | {do}.",
        "Give me the | {thing}.",
    ),
    *("I think, um, | {who} {past}.", "It was, uh, | {time}.", "Um, | can I {do}?", "Could we, um, | {do} {soon}?"),
    *(
        "Well, uh, | I {past}.",
        "I would, um, | rather {do}.",
        "My name is, um, | {name}.",
        "The, uh, | {thing} {state}.",
    ),
    *("I {past}, but | {who} did not.", "I {past} and | {name} {past}.", "We stayed because | {name} {past}."),
    *(
        "She called when | I {past}.",
        "It's cold, so | I {past}.",
        "You can {do} or | {do}.",
        "I wonder if | {name} {past}.",
    ),
    *("If you see {name}, | please {do}.", "When the {thing} {state}, | call me.", "After I {past}, | I went home."),
    *(
        "Before we {do}, | let's talk to {name}.",
        "If it is possible, | I want to {do}.",
        "When I {past}, | it was dark.",
    ),
    *("As soon as {name} is here, | we can {do}.", "Because of {name}, | I {past}.", "While you wait, | {do}."),
    *(
        "I need {food}, | {food}, | and {fruit}.",
        "We have {food}, {fruit}, | and {food}.",
        "{fruit}, {food}, | and a {thing}.",
    ),
    *("{name}, | {name}, | and {name} are coming.", "It is either {city} | or {city}.", "Buy {food} | and {fruit}."),
    *("It's {num} {num} {num}, | {num} {num} {num}.", "My number is {num} {num}, | {num} {num}, | {num} {num}."),
    *("The code is {num} {num}, | {num} {num}.", "{num} {num} {num} {num}, | {num} {num} {num}."),
    *("It's {letter}, {letter}, | {letter}, {letter}.", "My name is spelled {letter}, {letter}, {letter}, | {letter}."),
)
_WHOLE: Final = (
    *("I {past} {time}.", "The {thing} {state}.", "{who} {past}.", "I want to {do}.", "Please {do}.", "Can you {do}?"),
    *("Where is the {thing}?", "Who {past}?", "Do you like {food}?", "What does the {thing} cost?", "Is {name} there?"),
    *("It starts at {hour}.", "At {hour}.", "In {city}.", "{soon}.", "{name}.", "No, {soon}.", "Yes, {name} {past}."),
    *("Not {food}.", "The {thing}.", "Three {fruit}, please.", "I am from {city}.", "How do I {do}?", "Let's {do}."),
    *("Call {name}.", "Stop the {thing}.", "Add {food} to my list.", "Wake me at {hour}.", "What happened {time}?"),
    *("It's {num} {num} {num} {num}.", "My number is {num} {num} {num}, {num} {num} {num} {num}.", "Why {city}?"),
    *(
        "No problem.",
        "Yes, I think so.",
        "That's enough.",
        "Good idea.",
        "I don't care.",
        "Absolutely.",
        "What a pity.",
    ),
    *("Sounds good.", "No idea.", "That is wrong.", "I agree.", "Who is there?", "How come?", "Are you sure?"),
    *("What time does the {thing} shop open?", "How much is the {thing}?", "Do you have any {food}?", "Who is {name}?"),
    *("Can I pay here?", "Did {name} call?", "Will it rain {soon}?", "Which {thing} is better?", "Why is it so late?"),
    *("Have you met {name}?", "Is this the way to {city}?", "Are there any {fruit} left?", "When do we {do}?"),
    *("Could you say that slowly?", "What is {city} like?", "How old is the {thing}?", "Would you like some {food}?"),
    *("Where did {name} go {time}?", "Does it hurt?", "May I {do}?", "Should I {do}?", "How far is {city}?"),
    *("Repeat the last one.", "Tell me about {city}.", "Turn the {thing} on.", "Play something else.", "Try it later."),
    *("I need {food}, {food}, and {fruit}.", "If you see {name}, please {do}.", "I was late because I {past}."),
)


def sentences(seed: int) -> Iterator[str]:
    """Yields texts without end, about two with an inner pause for each without."""
    draw = random.Random(seed)
    while True:
        template = draw.choice(_PAUSED if draw.random() < 0.66 else _WHOLE)
        while found := re.search(r"{(\w+)}", template):
            template = template[: found.start()] + draw.choice(_SLOTS[found[1]].split("|")) + template[found.end() :]
        yield template[0].upper() + template[1:]


def first_half(text: str) -> str | None:
    """Returns the words before the first mark as a sentence of its own; None if they cannot be one.

    The same words, finished and not: only prosody tells the two apart."""
    half, mark, _ = text.partition("|")
    words = half.strip(" ,").split()
    if (
        not mark
        or len(words) < 3
        or words[-1].lower() in _NO_END
        or re.search(r"\b(?:um|uh)\b|^(?:If|When|After|Before|As|Because|While)\b", half)
    ):
        return None
    return " ".join(words) + ("?" if text.endswith("?") else ".")


_NO_END: Final = frozenset(
    (
        *("to", "a", "the", "in", "is", "are", "of", "who", "would", "where", "please", "but", "and", "so", "because"),
        *("although", "while", "when", "or", "if", "either"),
    )
)
