"""One form for a word however it is inflected or spelled: a light stemmer, and exact aliases.

Only inflection is removed (plurals, -ing, -ed, irregular verbs), because a stemmer that goes
further makes one word of "import" and "important", and a wrong match is a wrong answer.
Near synonyms (buy, purchase) are not joined here: that is the business of ``pair_features``.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# Spellings and abbreviations of the very same thing: "k8s" asks what "kubernetes" asks.
_ALIASES = """
repo>repository js>javascript ts>typescript py>python db>database dbs>database
config>configuration configs>configuration conf>configuration dir>directory folder>directory
app>application apps>application pic>picture photo>picture
env>environment envs>environment var>variable vars>variable func>function fn>function
arg>argument args>argument param>parameter params>parameter info>information docs>documentation
doc>documentation admin>administrator postgres>postgresql psql>postgresql mongo>mongodb
golang>go cpp>c++ csharp>c# msg>message auth>authentication authn>authentication
pwd>password passwd>password perf>performance lib>library libs>library pkg>package pkgs>package
proc>process cmd>command cmds>command dep>dependency deps>dependency
colour>color colours>color favourite>favorite centre>center behaviour>behavior licence>license
grey>gray programme>program organise>organize optimise>optimize realise>realize analyse>analyze
catalogue>catalog customise>customize recognise>recognize serialise>serialize
initialise>initialize virtualise>virtualize containerise>containerize normalise>normalize
minimise>minimize maximise>maximize authorise>authorize synchronise>synchronize
organisation>organization optimisation>optimization initialisation>initialization
serialisation>serialization normalisation>normalization authorisation>authorization
synchronisation>synchronization cancelled>cancel canceled>cancel cancelling>cancel
labelled>label modelling>model modeling>model travelling>travel travelled>travel
tv>television bike>bicycle phd>doctorate usa>america univ>university
maths>math vs>versus v.s>versus thru>through tho>though pls>please plz>please thx>thanks
movie>film movies>film films>film kid>child kids>child children>child
cellphone>phone smartphone>phone fb>facebook yt>youtube ig>instagram
insta>instagram gf>girlfriend bf>boyfriend pc>computer bday>birthday btw>incidentally
e-mail>email emails>email okay>ok anybody>anyone somebody>someone
"""

_IRREGULAR = """
made>make making>make ran>run running>run wrote>write written>write writing>write
went>go gone>go goes>go going>go got>get gotten>get getting>get built>build sent>send
sending>send kept>keep lost>lose losing>lose found>find took>take taken>take taking>take
gave>give given>give giving>give came>come coming>come saw>see seen>see knew>know known>know
thought>think bought>buy brought>bring taught>teach caught>catch sold>sell told>tell said>say
left>leave felt>feel met>meet paid>pay spent>spend stood>stand understood>understand won>win
began>begin begun>begin broke>break broken>break chose>choose chosen>choose drove>drive
driven>drive ate>eat eaten>eat fell>fall fallen>fall flew>fly flown>fly forgot>forget
forgotten>forget grew>grow grown>grow hid>hide hidden>hide spoke>speak spoken>speak stole>steal
stolen>steal threw>throw thrown>throw wore>wear worn>wear slept>sleep dealt>deal meant>mean
meaning>mean used>use uses>use using>use men>man women>woman people>person persons>person
mice>mouse feet>foot teeth>tooth lives>life wives>wife knives>knife indices>index indexes>index
vertices>vertex matrices>matrix analyses>analysis analysis>analysis criteria>criterion
better>better best>best died>die dying>die lying>lie dies>die ties>tie tied>tie
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that look inflected and are not.
_UNTOUCHED = _words(
    """https windows rails pandas keras news during string strings thing nothing something anything
    everything morning evening king ring spring embed hundred sacred naked always series
    species means besides perhaps united breed overseas wales paris texas jesus status virus
    campus bonus focus bus gas yes less unless express process access address business class
    pass loss boss glass grass dress stress press guess miss mess kiss success progress
    congress wireless"""
)

_VOWELS = frozenset("aeiouy")


def _table(text: str) -> dict[str, str]:
    return dict(entry.split(">", 1) for entry in text.split())


_ALIAS_OF = _table(_ALIASES)
_LEMMA_OF = _table(_IRREGULAR)


def fold(text: str) -> str:
    """``text`` without accents and case: São → sao, Straße → strasse."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """The form that all inflections and spellings of a folded ``word`` share."""
    word = _ALIAS_OF.get(word, word)
    word = _LEMMA_OF.get(word, word)
    if len(word) > 3 and word not in _UNTOUCHED and word.isalpha():
        word = _strip(word)
        word = _ALIAS_OF.get(word, word)
    if len(word) > 4 and word.endswith("e") and not word.endswith("ee"):
        return word[:-1]
    return word


def _strip(word: str) -> str:
    if word.endswith("ies") or word.endswith("ied"):
        return word[:-3] + "y" if len(word) > 4 else word[:-1]
    if word.endswith("ing"):
        return _bare(word, word[:-3])
    if word.endswith("ed") and not word.endswith("eed"):
        return _bare(word, word[:-2])
    if word.endswith(("sses", "xes", "ches", "shes", "zzes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _bare(word: str, rest: str) -> str:
    """``rest`` of ``word`` after -ing or -ed, unless too little of a word is left."""
    if len(rest) < 3 or not _VOWELS.intersection(rest):
        return word
    if rest[-1] == rest[-2] and rest[-1] not in "lsz":
        return rest[:-1]
    return rest
