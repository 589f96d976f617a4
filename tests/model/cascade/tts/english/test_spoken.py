"""model/cascade/tts/english: the spoken words of written text, and their alignment to it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.model.cascade.tts.aligned import Aligned
from vivavoce.model.cascade.tts.english.numerals import cardinal, decimal, digits, fraction, ordinal, plural, year
from vivavoce.model.cascade.tts.english.spelling import roman
from vivavoce.model.cascade.tts.english.spoken import MARKS, speakable
from vivavoce.model.cascade.tts.english.units import unit_words

MARKUP = """
It's **bold** and *soft* and __strong__ and _so_. ⇒ It's bold and soft and strong and so.
`code` and ~~gone~~ text. ⇒ code and gone text.
# A title ⇒ A title
### Steps ### ⇒ Steps
- an item ⇒ an item
* [x] done ⇒ done
> quoted words ⇒ quoted words
2. Second step ⇒ two, Second step
See [the docs](https://example.org/a_b) now. ⇒ See the docs now.
![a cat](cat.png) sleeps ⇒ a cat sleeps
more](https://example.org/x) here ⇒ more here
See https://www.example.com/path?x=1. ⇒ See example dot com slash path.
Go to example.org/docs today ⇒ Go to example dot org slash docs today
Go to https://example.org/2024/0099/q now ⇒ Go to example dot org now
Write to ann_b@example.com, please. ⇒ Write to ann b at example dot com, please.
Open main.py and read_me.txt ⇒ Open main dot py and read me dot txt
Hello 😀 world! 👍🏽 ⇒ Hello world!
Good :) day ⇒ Good day
He said “Hello” and 'bye', "really". ⇒ He said Hello and bye, really.
It’s John’s, the dogs' home ⇒ It's John's, the dogs' home
A cat—a big one—slept (quite) well. ⇒ A cat, a big one, slept, quite, well.
Wait... what… ⇒ Wait. what.
one<br>two <b>three</b> &amp; four ⇒ one, two three and four
| a | b | ⇒ a, b
3 * 4 and *so* ⇒ three times four and so
Really?!! ⇒ Really?
Well, ... yes ⇒ Well. yes
Yes，no。Well！ ⇒ Yes, no. Well!
The sky is blue [1]. Paris is big.[2][3] ⇒ The sky is blue. Paris is big.
So they say [2, 3], again.[4–6] And 【7†source】 that [citation needed]. ⇒ So they say, again. And that.
See [1], or the sources [2] and [4-6]. ⇒ See one, or the sources two and four to six.
An array [1, 2, 3] has a[0] and x[1]. ⇒ An array one, two, three has a zero and x one.
Some footnote¹ here.² H₂O ⇒ Some footnote here. H two O
!!! , so ⇒ so
"""
NUMBERS = """
I have 3 cats and 1,234 dogs. ⇒ I have three cats and one thousand two hundred thirty-four dogs.
1000000 ants, 2,500,000 bees ⇒ one million ants, two million five hundred thousand bees
It is 3.14, 0.5 or .5 ⇒ It is three point one four, zero point five or zero point five
It's -5 today, −3 tomorrow ⇒ It's minus five today, minus three tomorrow
the 1st, 2nd, 23rd and 100th ⇒ the first, second, twenty-third and one hundredth
code 0042, agent 007 ⇒ code zero zero four two, agent zero zero seven
number 12345678901 ⇒ number one two three four five six seven eight nine zero one
It takes 5-10 minutes, pages 10–12 ⇒ It takes five to ten minutes, pages ten to twelve
between 20% - 30% ⇒ between twenty percent to thirty percent
Call 555-123-4567 ⇒ Call five five five, one two three, four five six seven
(555) 123-4567, 555-0199 ⇒ five five five, one two three, four five six seven, five five five, zero one nine nine
+44 20 7946 0958 ⇒ plus four four, two zero, seven nine four six, zero nine five eight
#1 and No. 5 ⇒ number one and number five
version 2.3.1, v1.2 ⇒ version two point three point one, version one point two
192.168.0.1 ⇒ one hundred ninety-two point one hundred sixty-eight point zero point one
1/2 cup, 2/3, 3/4, 5/8 ⇒ one half cup, two thirds, three quarters, five eighths
1 1/2 or 2½ or 1 1/4 ⇒ one and a half or two and a half or one and a quarter
24/7 ⇒ twenty-four seven
2 + 3 = 5 ⇒ two plus three equals five
10 - 3 = 7 ⇒ ten minus three equals seven
4 × 5 = 20, 3 x 4 = 12, 3*4 ⇒ four times five equals twenty, three times four equals twelve, three times four
10 / 2 = 5, 8 ÷ 4 ⇒ ten divided by two equals five, eight divided by four
x^2 + y² = z³ ⇒ x squared plus y squared equals z cubed
2^10 ⇒ two to the power of ten
1920x1080 and 3 x 4 m ⇒ nineteen twenty by ten eighty and three by four meters
50+ people, ~5 left, 10k users, a 2x gain ⇒ fifty plus people, about five left, ten thousand users, a two times gain
5'10" tall ⇒ five foot ten tall
a ≤ b, a >= b, a != b ⇒ a is at most b, a is at least b, a is not equal to b
a < b, a > b ⇒ a is less than b, a is greater than b
"""
CODES = """
Call +49 30 1234567. ⇒ Call plus four nine, three zero, one two three four five six seven.
+49 (0)30 1234567 or +49-30-123456. ⇒ plus four nine, zero, three zero, one two three four five six seven or plus four nine, three zero, one two three four five six.
+4930123456, 0049 30 901820 ⇒ plus four nine three zero one two three four five six, zero zero four nine, three zero, nine zero one eight two zero
Ring 030 1234567 or 0171/1234567 ⇒ Ring zero three zero, one two three four five six seven or zero one seven one, one two three four five six seven
06 12 34 56 78 is mine ⇒ zero six, one two, three four, five six, seven eight is mine
My card is 4111 1111 1111 1111. ⇒ My card is four one one one, one one one one, one one one one, one one one one.
4111-1111-1111-1112, CVV 123 ⇒ four one one one, one one one one, one one one one, one one one two, C V V one two three
3782 822463 10005 ⇒ three seven eight two, eight two two four six three, one zero zero zero five
DE89 3704 0044 0532 0130 00 ⇒ D E eight nine, three seven zero four, zero zero four four, zero five three two, zero one three zero, zero zero
IBAN DE89370400440532013000. ⇒ I B A N D E eight nine, three seven zero four, zero zero four four, zero five three two, zero one three zero, zero zero.
ISBN 978-3-16-148410-0 ⇒ I S B N nine seven eight, three, one six, one four eight four one zero, zero
ISBN 0-306-40615-X, 978-0-306-40615-7 ⇒ I S B N zero, three zero six, four zero six one five, X, nine seven eight, zero, three zero six, four zero six one five, seven
SSN 123-45-6789 ⇒ S S N one two three, four five, six seven eight nine
PIN 1234, your code is 481516, order 12345678 ⇒ Pin one two three four, your code is four eight one five one six, order one two three four five six seven eight
Call 911 or 112. Call 300 people. ⇒ Call nine one one or one hundred twelve. Call three hundred people.
in 2019 2020 2021 2022, number 1000000 ⇒ in twenty nineteen twenty twenty twenty twenty-one twenty twenty-two, number one million
-5 to +3 degrees, +20 and 0.5 100 ⇒ minus five to plus three degrees, plus twenty and zero point five one hundred
"""  # noqa: E501 - rows of a table
FORMULAS = r"""
See $x = \frac{-b}{2a}$ for that. ⇒ See x equals minus b over two a for that.
$E = mc^2$ and \(x_1 + x_i\) ⇒ E equals m c squared and x one plus x sub i
$$\int_0^1 x^3 dx$$ ⇒ the integral from zero to one of x cubed d x
\[ a^2 + b^2 = c^2 \] ⇒ a squared plus b squared equals c squared
$\alpha \le \sqrt{2}$, $\sum_{i=1}^n i^{10}$ ⇒ alpha is at most the square root of two, the sum from i equals one to n of i to the power of ten
$\lim_{x \to 0} f(x) = 90^\circ$ ⇒ the limit as x goes to zero of f of x equals ninety degrees
$\begin{matrix} a & b \end{matrix}$ is one ⇒ a formula is one
$x$ costs $5 and $6, $5-$10 ⇒ x costs five dollars and six dollars, five dollars to ten dollars
Use \frac{1}{2} of \alpha \times y ⇒ Use one over two of alpha times y
5 × 10³, 1.5e-7, 3*10^8 m ⇒ five times ten to the power of three, one point five times ten to the power of minus seven, three times ten to the power of eight meters
x⁴ and α or β-carotene ⇒ x to the power of four and alpha or beta-carotene
"""  # noqa: E501 - rows of a table
SCRIPTS = """
The word for cat is 猫 in Japanese. ⇒ The word for cat is, something I cannot say, in Japanese.
Say Привет, мир! to them. ⇒ Say, something I cannot say! to them.
Hello means 你好，世界 and bye 再见。 ⇒ Hello means, something I cannot say, and bye, something I cannot say.
नमस्ते is a greeting, مرحبا too ⇒ something I cannot say, is a greeting, something I cannot say, too
“こんにちは” (konnichiwa) ⇒ something I cannot say, konnichiwa
Ｈｅｌｌｏ, 𝓗𝓲, Zürich, naïve Łódź ⇒ Hello, Hi, Zürich, naïve Łódź
"""
MONEY_AND_UNITS = """
€1.234,56 and 1.234,56 EUR ⇒ one thousand two hundred thirty-four euros and fifty-six cents and one thousand two hundred thirty-four euros and fifty-six cents
1.234.567,89 €, € 12,50, €1.234 ⇒ one million two hundred thirty-four thousand five hundred sixty-seven euros and eighty-nine cents, twelve euros and fifty cents, one thousand two hundred thirty-four euros
1 234,56 €, CHF 1'234.50 ⇒ one thousand two hundred thirty-four euros and fifty-six cents, C H F one thousand two hundred thirty-four point five zero
3,5 %, 21,5 °C, 1,5 kg, 1.234.567 people ⇒ three point five percent, twenty-one point five degrees Celsius, one point five kilograms, one million two hundred thirty-four thousand five hundred sixty-seven people
$1,234,567.89, €1,234.56, $1.234 ⇒ one million two hundred thirty-four thousand five hundred sixty-seven dollars and eighty-nine cents, one thousand two hundred thirty-four euros and fifty-six cents, one point two three four dollars
1.234 km, 5 Ω ⇒ one point two three four kilometers, five ohms
It costs $5. ⇒ It costs five dollars.
$1, $3.50, $0.99, $1.01 ⇒ one dollar, three dollars and fifty cents, ninety-nine cents, one dollar and one cent
€1,000.00 and £2.01 and £3.20 ⇒ one thousand euros and two pounds and one penny and three pounds and twenty pence
$5 million, $1.2B, $3k ⇒ five million dollars, one point two billion dollars, three thousand dollars
-$5, 20 USD, 15 €, 3 million EUR ⇒ minus five dollars, twenty dollars, fifteen euros, three million euros
¥500, 50¢, 1¢, $1.5 ⇒ five hundred yen, fifty cents, one cent, one point five dollars
$5-$10 ⇒ five dollars to ten dollars
5%, 3.5 %, 5-10% ⇒ five percent, three point five percent, five to ten percent
5 km/h, 1 km, 9.8 m/s² ⇒ five kilometers per hour, one kilometer, nine point eight meters per second squared
20°C, -5 °F, 90° ⇒ twenty degrees Celsius, minus five degrees Fahrenheit, ninety degrees
3.5 kg, 10 MB, 100 Mbps ⇒ three point five kilograms, ten megabytes, one hundred megabits per second
100 m², 2 m^3, 6 ft, 60 mph ⇒ one hundred square meters, two cubic meters, six feet, sixty miles per hour
3 GHz, 230 V, 5 kWh, a 5-km run ⇒ three gigahertz, two hundred thirty volts, five kilowatt hours, a five kilometer run
5 g/day ⇒ five grams per day
"""  # noqa: E501 - rows of a table
DATES = """
due on 2025/12/31 or 2025/1/5 ⇒ due on December thirty-first, twenty twenty-five or January fifth, twenty twenty-five
31.12.2025, 31.12.25, 31-12-2025 ⇒ December thirty-first, twenty twenty-five, December thirty-first, twenty twenty-five, December thirty-first, twenty twenty-five
On 31.12. we close, since 2024-05 ⇒ On December thirty-first we close, since May twenty twenty-four
On 2024-03-03 we met. ⇒ On March third, twenty twenty-four we met.
3/4/2024 or 4.3.2021 ⇒ March fourth, twenty twenty-four or March fourth, twenty twenty-one
25/12/2023 ⇒ December twenty-fifth, twenty twenty-three
March 3, 2024 ⇒ March third, twenty twenty-four
Jan. 5 and Sept 7th and 3 Dec 2020 ⇒ January fifth and September seventh and the third of December twenty twenty
3 March 1905, the 4th of July ⇒ the third of March nineteen oh five, the fourth of July
May 3-5 ⇒ May third to fifth
in 1984, by 2004, in 1066 ⇒ in nineteen eighty-four, by two thousand four, in one thousand sixty-six
the year 1066, since 1805 ⇒ the year ten sixty-six, since eighteen oh five
the 1990s, the 1900s, the '90s ⇒ the nineteen nineties, the nineteen hundreds, the nineties
1990-1995, 1990–95 ⇒ nineteen ninety to nineteen ninety-five, nineteen ninety to ninety-five
2010 was good, 1950 people came ⇒ twenty ten was good, one thousand nine hundred fifty people came
At 14:05 or 5pm or 5:30 p.m. or 9:00 ⇒ At fourteen oh five or five P M or five thirty P M or nine o'clock
At 9 a.m. Monday. At 5 p.m. Then go. ⇒ At nine A M Monday. At five P M. Then go.
9:00 am, 12:00 P.M. ⇒ nine A M, twelve P M.
14:00, 0:00, 10:05:30 ⇒ fourteen hundred, midnight, ten oh five and thirty seconds
9:30-10:45, 9am-5pm ⇒ nine thirty to ten forty-five, nine A M to five P M
2024-03-03T14:05:00Z ⇒ March third, twenty twenty-four at fourteen oh five and zero seconds U T C
99:99, a 16:9 screen ⇒ ninety-nine to ninety-nine, a sixteen to nine screen
2024-13-41 ⇒ two thousand twenty-four-thirteen to forty-one
"""  # noqa: E501 - rows of a table
LETTERS = """
Dr. Smith, Mr. Jones and Mrs. Hill ⇒ Doctor Smith, Mister Jones and Missus Hill
on Main St. near St. Louis ⇒ on Main Street near Saint Louis
e.g. this, i.e. that, approx. here ⇒ for example, this, that is, that, approximately here
cats, dogs, etc. They sleep. ⇒ cats, dogs, et cetera. They sleep.
cats, etc. and dogs, etc. ⇒ cats, et cetera and dogs, et cetera.
us vs. them, w/o you, w/ me ⇒ us versus them, without you, with me
Apple Inc. said so ⇒ Apple Incorporated said so
J. R. R. Tolkien, Ph.D. ⇒ J R R Tolkien, P H D.
in the U.S. and the U.K. ⇒ in the U S and the U K.
The USA and a GPU, two CPUs ⇒ The U S A and a G P U, two C P U's
NASA's JSON ⇒ Nasa's Json
STOP! DO NOT PANIC. ⇒ stop! do not Panic.
THIS IS VERY LOUD TALK ⇒ this is very Loud Talk
MP3, H2O, COVID-19, 3D ⇒ M P three, H two O, Covid nineteen, three D
World War II, Henry VIII, Chapter IV ⇒ World War two, Henry the eighth, Chapter four
World War I began, Part I think, Elizabeth I ⇒ World War one began, Part I think, Elizabeth I
Chapter IIII, Henry XX ⇒ Chapter I I I I, Henry the twentieth
Tom & Jerry, R&D, @bob, #python, C++, C# ⇒ Tom and Jerry, R and D, at bob, hashtag python, C plus plus, C sharp
red/blue and/or green ⇒ red or blue and or green
"""


def _cases(table: str) -> list[tuple[str, str]]:
    pairs = (row.partition(" ⇒ ") for row in table.strip("\n").splitlines())
    return [(written, said) for written, _, said in pairs]


@pytest.mark.parametrize(("written", "said"), _cases(MARKUP))
def test_markup_is_not_spoken(written: str, said: str) -> None:
    assert speakable(written).text == said


@pytest.mark.parametrize(("written", "said"), _cases(NUMBERS))
def test_numbers_are_spelled_out(written: str, said: str) -> None:
    assert speakable(written).text == said


@pytest.mark.parametrize(("written", "said"), _cases(CODES))
def test_numbers_that_are_names_are_read_digit_by_digit(written: str, said: str) -> None:
    assert speakable(written).text == said


@pytest.mark.parametrize(("written", "said"), _cases(FORMULAS))
def test_formulas_are_read_as_a_person_would(written: str, said: str) -> None:
    assert speakable(written).text == said


@pytest.mark.parametrize(("written", "said"), _cases(SCRIPTS))
def test_a_word_that_cannot_be_said_leaves_a_gap_that_is_heard(written: str, said: str) -> None:
    assert speakable(written).text == said


@pytest.mark.parametrize(("written", "said"), _cases(MONEY_AND_UNITS))
def test_money_and_measures_are_spelled_out(written: str, said: str) -> None:
    assert speakable(written).text == said


@pytest.mark.parametrize(("written", "said"), _cases(DATES))
def test_dates_and_times_are_spelled_out(written: str, said: str) -> None:
    assert speakable(written).text == said


@pytest.mark.parametrize(("written", "said"), _cases(LETTERS))
def test_abbreviations_and_signs_are_spelled_out(written: str, said: str) -> None:
    assert speakable(written).text == said


def test_lines_without_punctuation_get_a_pause() -> None:
    assert speakable("Roses are red\nviolets blue\n\n- one\n- two\n---\nEnd.\nYes").text == (
        "Roses are red, violets blue. one, two. End. Yes"
    )


@pytest.mark.parametrize(
    "text", ["", " \n", "😀", "***", "---", "```", "!?", "“”", "你好，世界。", "Καλημέρα.", "Привет!"]
)
def test_text_without_words_is_not_spoken(text: str) -> None:
    assert speakable(text).text == ""


def test_a_word_ends_where_its_original_ends() -> None:
    text = "It **costs** $3.50 😀 now!"
    spoken = speakable(text)
    assert spoken.text == "It costs three dollars and fifty cents now!"
    assert [(spoken.text[:end].split()[-1], text[:chars]) for end, chars in spoken.words()] == [
        ("It", "It"),
        ("costs", "It **costs**"),
        ("cents", "It **costs** $3.50"),
        ("now!", text),
    ]


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        (
            "Call +49 30 1234567. Now",
            [("Call", "Call"), ("seven.", "Call +49 30 1234567."), ("Now", "Call +49 30 1234567. Now")],
        ),
        (
            "It is €1.234,56 now",
            [("It", "It"), ("is", "It is"), ("cents", "It is €1.234,56"), ("now", "It is €1.234,56 now")],
        ),
        (
            r"See $x = \frac{-b}{2a}$ for it",
            [
                ("See", "See"),
                ("a", r"See $x = \frac{-b}{2a}$"),
                ("for", r"See $x = \frac{-b}{2a}$ for"),
                ("it", r"See $x = \frac{-b}{2a}$ for it"),
            ],
        ),
        ("Cat is 猫 here", [("Cat", "Cat"), ("is,", "Cat is"), ("say,", "Cat is 猫"), ("here", "Cat is 猫 here")]),
        ("Blue [1]. Big.[2]", [("Blue.", "Blue [1]."), ("Big.", "Blue [1]. Big.[2]")]),
    ],
)
def test_what_is_read_otherwise_is_said_with_its_last_word(text: str, ends: list[tuple[str, str]]) -> None:
    spoken = speakable(text)
    assert [(spoken.text[:end].split()[-1], text[:chars]) for end, chars in spoken.words()] == ends


@given(st.text(alphabet=st.sampled_from(list("aBc I3571.,:/-$%°#*_()[]{}\\^\n'\"’—…€½²₂+=km😀é你我αйक्")), max_size=40))
def test_any_text_becomes_words_and_marks_that_point_into_it(text: str) -> None:
    spoken = speakable(text)
    assert all(character.isalnum() or character in f" '-{MARKS}" for character in spoken.text)
    assert not any("0" <= character <= "9" for character in spoken.text)
    assert len(spoken.ends) == len(spoken.text)
    assert list(spoken.ends) == sorted(spoken.ends)
    if spoken.text:
        assert spoken.ends[-1] == len(text)
        assert [chars for _, chars in spoken.words()][-1] == len(text)


def test_rewriting_keeps_count_of_the_original() -> None:
    text = Aligned.of("a 12 b")
    words = text.sub((re.compile("12"), "one two"))
    assert words.text == "a one two b"
    assert words.ends == (1, 2, 2, 2, 2, 2, 2, 2, 4, 5, 6)
    assert words.sub((re.compile(" b"), "")).ends[-1] == 6, "deleted text is said with the text before it"
    assert text.sub((re.compile("^a "), "")) == Aligned("12 b", (3, 4, 5, 6))
    assert text.sub((re.compile(r"(?<=1)(?=2)"), "-")) == Aligned("a 1-2 b", (1, 2, 3, 3, 4, 5, 6))
    assert text.sub((re.compile("^"), "-")) == Aligned("-a 12 b", (0, 1, 2, 3, 4, 5, 6))
    assert text.sub((re.compile("12"), lambda match: None)) is text


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (cardinal(0), "zero"),
        (cardinal(100), "one hundred"),
        (cardinal(1_000_001), "one million one"),
        (cardinal(10**18), "one" + 18 * " zero"),
        (ordinal(12), "twelfth"),
        (ordinal(21), "twenty-first"),
        (ordinal(30), "thirtieth"),
        (ordinal(104), "one hundred fourth"),
        (ordinal(10**18 + 3), "one" + 17 * " zero" + " third"),
        (year(1905), "nineteen oh five"),
        (year(1900), "nineteen hundred"),
        (year(2000), "two thousand"),
        (year(2019), "twenty nineteen"),
        (year(1010), "ten ten"),
        (year(476), "four hundred seventy-six"),
        (digits("042"), "zero four two"),
        (decimal("1,234.50"), "one thousand two hundred thirty-four point five zero"),
        (decimal("5."), "five"),
        (decimal(".5"), "zero point five"),
        (decimal("007"), "zero zero seven"),
        (plural("twenty"), "twenties"),
        (plural("six"), "sixes"),
        (plural("ten"), "tens"),
        (fraction(1, 2), "one half"),
        (fraction(3, 2), "three halves"),
        (fraction(3, 4), "three quarters"),
        (fraction(7, 200), "seven over two hundred"),
        (unit_words("ft", single=True), "foot"),
        (unit_words("m^3/s", single=False), "cubic meters per second"),
    ],
)
def test_number_words(said: str, words: str) -> None:
    assert said == words


def test_only_proper_roman_numerals_count() -> None:
    assert [roman(text) for text in ("XIV", "IX", "III", "XXXIX", "IIII", "VX", "")] == [14, 9, 3, 39, None, None, None]
