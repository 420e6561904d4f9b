"""The closed word classes of English that a question is read with: function words, numbers, units.

Lists only; how a question is read is in ``pair_text``, what opposes what in ``pair_opposites``.
"""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The set of the words of a block of text."""
    return frozenset(text.split())


# Words without content of their own; which of them differ is a feature, not an unmatched word.
FUNCTION_WORDS = words(
    """a an the this that these those some any such am is are was were be been being do does did
    doing done have has had having can could may might must shall should will would of in on at
    by for to from with into onto as about over under through between among during within
    upon per via than then and or but if so i me my mine myself you your yours yourself he him
    his she her hers it its itself we us our ours they them their theirs one ones who whom whose
    what which when where why how there here also too very just really ever even still yet only
    else please exactly actually basically precisely kindly simply literally am's s t"""
)

# Words that two askings of the very same question differ by.
WEAK_WORDS = words(
    "a an the is are am be exactly actually basically precisely kindly simply please just"
)

# The part of the function words that carries who is meant, and when, and whether one ought to.
MODALS = words("can could may might must shall should will would did was were had")
PERSONS = words("i you he she we they")

NEGATORS = words(
    """not never no none nobody nothing nowhere neither nor without cannot hardly barely
    except unless lack lacks lacking lacked fail fails failed failing instead rather"""
)

# Said around a question, or to soften it; never changes what is asked.
OPENINGS = (
    r"(?:hi|hello|hey)(?: there| all| everyone| everybody| guys| folks)?",
    r"(?:please|kindly|excuse me|sorry|so|well|okay|ok|incidentally|thanks)",
    r"(?:can|could|would|will) (?:you|someone|anyone) (?:please |kindly |possibly )?"
    r"(?:tell|explain|help|show|remind|inform|teach|let|give)"
    r"(?: to)?(?: me| us)?(?: know)?(?: to)?(?: understand| know)?",
    r"(?:please )?(?:tell|remind|show) (?:me|us)",
    r"(?:please )?(?:explain|let)(?: to)? (?:me|us)(?: know)?",
    r"(?:do you|does anyone|does anybody) (?:happen to )?know"
    r"(?= (?:what|which|who|whose|when|where|why|how|if|whether)\b)",
    r"i (?:want|need|wanted|would like|like|wish|would love|am trying|was trying|try) to "
    r"(?:know|understand|find out|figure out)",
    r"i (?:am|was)(?: just)? (?:wondering|curious)(?: about)?",
    r"i wonder",
    r"(?:i have|i got|just|here is)? ?(?:a |one |my )?(?:quick |short |simple )?question(?: is)?",
    r"in your (?:own )?(?:opinion|view)",
)
CLOSINGS = (
    r"please",
    r"(?:many )?(?:thanks|thank you)(?: in advance| so much| a lot| very much)?",
    r"in advance",
    r"or not",
)

# Contractions; those without an apostrophe are how people type.
CONTRACTIONS = {
    "can't": "can not", "cant": "can not", "cannot": "can not", "won't": "will not",
    "shan't": "shall not", "ain't": "is not", "aint": "is not", "dont": "do not",
    "doesnt": "does not", "didnt": "did not", "isnt": "is not", "arent": "are not",
    "wasnt": "was not", "werent": "were not", "hasnt": "has not", "havent": "have not",
    "hadnt": "had not", "wouldnt": "would not", "couldnt": "could not",
    "shouldnt": "should not", "wont": "will not", "mustnt": "must not", "whats": "what is",
    "what's": "what is", "who's": "who is", "whos": "who is", "where's": "where is",
    "wheres": "where is", "how's": "how is", "hows": "how is", "when's": "when is",
    "why's": "why is", "that's": "that is", "thats": "that is", "there's": "there is",
    "it's": "it is", "he's": "he is", "she's": "she is", "here's": "here is",
    "let's": "let us", "i'm": "i am", "im": "i am", "i'd": "i would", "i've": "i have",
    "ive": "i have", "gonna": "going to", "wanna": "want to", "gotta": "have to",
    "how'd": "how did", "what're": "what are", "y'all": "you", "ya": "you", "u": "you",
    "ur": "your", "&": "and", "wat": "what", "wht": "what", "hw": "how",
}  # fmt: skip


def _in_order(text: str) -> list[str]:
    return text.split()


_ONES = _in_order(
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
    fifteen sixteen seventeen eighteen nineteen"""
)
_TENS = _in_order("twenty thirty forty fifty sixty seventy eighty ninety")
_ORDINALS = _in_order(
    """zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth
    thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"""
)

NUMBER_WORDS: dict[str, int] = {
    **{w: n for n, w in enumerate(_ONES)},
    **{w: 10 * n for n, w in enumerate(_TENS, start=2)},
    **{w: n for n, w in enumerate(_ORDINALS)},
    "once": 1, "twice": 2, "thrice": 3, "dozen": 12, "thirtieth": 30,
}  # fmt: skip
MAGNITUDES: dict[str, int] = {
    "hundred": 10**2, "thousand": 10**3, "lakh": 10**5, "lac": 10**5, "million": 10**6,
    "crore": 10**7, "billion": 10**9, "trillion": 10**12,
    "hundreds": 10**2, "thousands": 10**3, "lakhs": 10**5, "lacs": 10**5, "millions": 10**6,
    "crores": 10**7, "billions": 10**9, "trillions": 10**12,
}  # fmt: skip
# Quantities that are words; each must be on both sides.
QUANTITIES = {
    "half": "1/2", "quarter": "1/4", "double": "×2", "triple": "×3", "single": "×1", "both": "2",
    "halves": "1/2", "thirds": "1/3",
}  # fmt: skip
ROMAN = {
    "II": 2, "III": 3, "IV": 4, "VI": 6, "VII": 7, "VIII": 8, "IX": 9, "XI": 11, "XII": 12,
    "XIII": 13, "XIV": 14, "XV": 15, "XVI": 16,
}  # fmt: skip


def _units(text: str) -> dict[str, str]:
    return {name: line.split()[0] for line in text.splitlines() for name in line.split()}


# First the unit's symbol, then its other names.
UNITS = _units(
    """bit bits
    b byte bytes
    kb kilobyte kilobytes
    mb megabyte megabytes
    gb gigabyte gigabytes
    tb terabyte terabytes
    pb petabyte petabytes
    kib kibibyte kibibytes
    mib mebibyte mebibytes
    gib gibibyte gibibytes
    tib tebibyte tebibytes
    kbps kbit kilobits
    mbps mbit megabits
    gbps gbit gigabits
    ns nanosecond nanoseconds
    us µs microsecond microseconds
    ms millisecond milliseconds msec
    s sec secs seconds
    min mins minute minutes
    h hr hrs hour hours
    day days
    week weeks wk wks
    month months
    year years yr yrs
    decade decades
    century centuries
    mm millimeter millimeters millimetre millimetres
    cm centimeter centimeters centimetre centimetres
    m meter meters metre metres
    km kilometer kilometers kilometre kilometres
    inch inches
    ft foot feet
    mile miles mi
    yard yards
    mg milligram milligrams
    g gram grams
    kg kilogram kilograms kilo kilos kgs
    lb lbs pound pounds
    oz ounce ounces
    ton tons tonne tonnes
    ml milliliter milliliters millilitre millilitres
    l liter liters litre litres
    gallon gallons
    hz hertz
    khz kilohertz
    mhz megahertz
    ghz gigahertz
    w watt watts
    kw kilowatt kilowatts
    kwh
    v volt volts
    mah
    a amp amps ampere amperes
    px pixel pixels
    pt
    em
    rem
    percent percentage % pct
    degree degrees °
    celsius °c
    fahrenheit °f
    kelvin
    usd dollar dollars $
    eur euro euros €
    gbp £ quid
    inr rupee rupees rs ₹
    jpy yen ¥
    rpm
    fps
    dpi
    core cores
    thread threads
    token tokens
    bar
    psi
    db decibel decibels"""
)
CURRENCY_SIGNS = "$€£¥₹"

# Function words that hardly occur in English, a few for each language that is often asked in.
FOREIGN = {
    "de": words(
        """der das ist sind wie warum wo wer ich du wir nicht kein keine ein eine einen und oder
        mit für fur auf von zu zum zur im den dem des kann man welche welcher welches gibt
        wann bei nach aus wird werden sich auch mein meine"""
    ),
    "fr": words(
        """le la les des du une est sont comment pourquoi où qui que quoi quel quelle quels
        quelles je tu nous vous ils elle pas avec pour dans sur et ou mon ma mes peut
        qu'est-ce c'est ce cette au aux ne"""
    ),
    "es": words(
        """el los las un una es son como cómo por qué que quién cuál cual cuando cuándo dónde
        donde yo tú nosotros con para en y o mi se puedo puede del al está hay"""
    ),
    "it": words(
        """il lo gli uno una è sono come perché perche dove chi che cosa quale quali quando io
        noi non con per di da della del dei nel nella e posso può si"""
    ),
    "pt": words(
        """o os um uma é são como porque porquê onde quem que qual quais quando eu nós não nao
        com para em e ou do da dos das no na meu minha posso pode"""
    ),
    "nl": words(
        """de het een is zijn hoe waarom waar wie wat ik je jij wij niet geen en of met voor op
        van naar kan welke wanneer mijn deze dit er"""
    ),
    "sv": words(
        """är hur varför var vem vad jag du vi inte ingen och eller med för på av till kan
        vilken vilket när min ett det den"""
    ),
    "pl": words(
        """jest są jak dlaczego gdzie kto co ja ty nie i lub z dla na w do od czy który która
        które kiedy się mój"""
    ),
}
# Words above that an English question may well contain.
NOT_FOREIGN = words(
    "was i is on no do me man so of e o y z w as in an dos co la er at wat on du en"
)
