"""Words that change a question's answer when one stands for the other: opposites and kinds.

An opposite is a pair ("enable", "disable"); a kind is a set whose members exclude each other
("bash", "zsh", "fish"). Our own lists, for the questions asked of a technical assistant;
prefixes (un-, dis-, non-…) are handled by form, so pairs that differ by one are not listed twice.
"""

from __future__ import annotations

from hybrid_coordinator.cache.pair_stem import stem
from hybrid_coordinator.cache.pair_words import words

_OPPOSITES = """
enable/disable activate/deactivate open/close increase/decrease increment/decrement raise/lower
raise/reduce increase/reduce increase/lower grow/shrink expand/collapse expand/contract
extend/shorten lengthen/shorten widen/narrow start/stop start/end begin/end begin/finish
start/finish start/halt boot/shutdown launch/quit run/stop pause/resume play/pause stop/continue
suspend/resume sleep/wake hibernate/wake freeze/thaw install/uninstall install/remove
install/delete add/remove add/delete add/subtract add/drop append/prepend insert/delete
insert/remove create/delete create/destroy create/drop create/remove make/destroy make/break
build/destroy build/demolish before/after pre/post previous/next prior/subsequent earlier/later
early/late ancient/modern minimum/maximum min/max minimize/maximize minimal/maximal least/most
less/more fewer/more lesser/greater lowest/highest smallest/largest smallest/biggest
shortest/longest slowest/fastest worst/best import/export read/write load/save load/store
load/unload upload/download push/pull push/pop enqueue/dequeue get/set fetch/push send/receive
transmit/receive request/response ask/answer question/answer input/output stdin/stdout
stdout/stderr input/result encode/decode encrypt/decrypt compress/decompress compress/extract
zip/unzip pack/unpack pack/extract archive/extract serialize/deserialize marshal/unmarshal
lock/unlock mount/unmount bind/unbind attach/detach connect/disconnect link/unlink plug/unplug
subscribe/unsubscribe follow/unfollow friend/unfriend block/unblock mute/unmute hide/show
hide/reveal show/conceal hidden/visible visible/invisible public/private internal/external
inner/outer inside/outside in/out into/from inbound/outbound incoming/outgoing ingress/egress
inbox/outbox import/publish inclusive/exclusive include/exclude allow/deny allow/block
allow/forbid allow/reject allow/prevent permit/forbid permit/prohibit grant/revoke accept/reject
accept/decline accept/refuse approve/reject approve/deny whitelist/blacklist allowlist/denylist
trust/distrust true/false yes/no on/off up/down upward/downward upstream/downstream
upgrade/downgrade promote/demote scale-up/scale-down ascend/descend ascending/descending asc/desc
rise/fall rising/falling top/bottom above/below over/under upper/lower uppercase/lowercase
high/low tall/short long/short deep/shallow wide/narrow broad/narrow thick/thin fat/thin
fat/skinny big/small large/small huge/tiny major/minor heavy/light dark/light dark/bright
bright/dim day/night black/white left/right front/back frontend/backend forward/backward
forward/reverse forwards/backwards clockwise/counterclockwise horizontal/vertical row/column
north/south east/west northern/southern eastern/western client/server host/guest local/remote
local/global static/dynamic sync/async synchronous/asynchronous serial/parallel
sequential/parallel sequential/concurrent blocking/nonblocking mutable/immutable public/secret
open-source/proprietary free/paid free/commercial cheap/expensive buy/sell purchase/sell
bought/sold buyer/seller import/domestic lend/borrow give/take give/receive deposit/withdraw
earn/spend save/spend save/waste income/expense profit/loss asset/liability credit/debit win/lose
winner/loser victory/defeat succeed/fail success/failure pass/fail gain/lose attack/defend
attack/defense offense/defense advance/retreat love/hate like/dislike like/hate friend/enemy
good/bad good/evil better/worse pros/cons pro/con advantage/disadvantage benefit/drawback
benefit/harm benefit/risk benefit/cost strength/weakness strong/weak hard/soft hard/easy
difficult/easy easy/tough simple/complex simple/complicated basic/advanced beginner/expert
beginner/advanced novice/expert amateur/professional safe/dangerous safe/risky secure/insecure
stable/unstable legal/illegal lawful/unlawful valid/invalid correct/wrong correct/incorrect
right/wrong accurate/inaccurate positive/negative plus/minus multiply/divide optimist/pessimist
optimistic/pessimistic happy/sad happy/unhappy glad/sad hot/cold warm/cool warm/cold heat/cool
summer/winter wet/dry empty/full fill/empty fill/drain rich/poor wealthy/poor young/old
younger/older new/old newer/older newest/oldest latest/oldest recent/old first/last initial/final
temporary/permanent persistent/ephemeral stateful/stateless male/female man/woman boy/girl
guy/girl men/women boys/girls husband/wife father/mother dad/mom son/daughter brother/sister
uncle/aunt king/queen boyfriend/girlfriend groom/bride husband/girlfriend parent/child
teacher/student doctor/patient employer/employee employee/contractor lead/follow leader/follower
master/slave primary/secondary primary/replica leader/replica master/replica producer/consumer
publisher/subscriber sender/receiver sender/recipient caller/callee source/destination
source/target origin/destination manual/automatic automatically/manually hire/fire arrive/depart
arrival/departure enter/exit enter/leave entry/exit entrance/exit come/go join/leave join/split
merge/split combine/separate unite/divide concatenate/split assemble/disassemble compile/decompile
compile/interpret commit/rollback commit/revert apply/revert do/undo undo/redo backup/restore
login/logout log-in/log-out signin/signout signup/unsubscribe register/unregister
register/deregister check/uncheck select/deselect select/unselect mark/unmark tag/untag pin/unpin
stage/unstage clean/dirty clean/pollute clear/fill remember/forget learn/forget learn/teach
study/teach find/lose find/hide seek/hide catch/throw keep/discard keep/delete keep/remove
preserve/discard retain/discard save/discard save/delete keep/lose live/die life/death alive/dead
birth/death born/die survive/die sick/healthy disease/health cure/cause treat/cause prevent/cause
cause/effect cause/consequence help/hurt help/harm help/hinder improve/worsen improve/degrade
improve/damage fix/break repair/break repair/damage fix/damage strengthen/weaken
accelerate/decelerate accelerate/brake speed/slow fast/slow faster/slower quick/slow
quickly/slowly always/never often/rarely often/seldom frequently/rarely common/rare usual/unusual
everyone/nobody everything/nothing everybody/nobody all/none all/some both/neither any/none
with/without for/against support/oppose agree/disagree encourage/discourage attract/repel
gather/scatter absorb/emit inhale/exhale import/emigrate immigrate/emigrate immigrant/emigrant
emigration/immigration import/exporting domestic/foreign national/international urban/rural
city/village offline/online wired/wireless analog/digital physical/virtual hardware/software
theory/practice theoretical/practical abstract/concrete real/fake genuine/fake true/fake
natural/artificial organic/inorganic cation/anion acid/base anode/cathode proton/electron
alkaline/acidic oxidation/reduction endothermic/exothermic convex/concave odd/even
rational/irrational finite/infinite bounded/unbounded singular/plural synonym/antonym
prefix/suffix vowel/consonant noun/verb supply/demand inflation/deflation bull/bear
import/homegrown capitalism/communism capitalist/communist liberal/conservative
democrat/republican democracy/dictatorship introvert/extrovert introverted/extroverted
vegetarian/carnivore predator/prey ally/enemy war/peace guilty/innocent arrest/release
hold/release acquire/release allocate/deallocate allocate/free malloc/free grow/reduce
truncate/extend pad/trim preload/unload encode/parse print/scan debug/release
production/development production/staging test/production required/optional mandatory/optional
explicit/implicit strict/lenient strict/loose eager/lazy hot/idle busy/idle active/passive
active/inactive online/down verbose/quiet verbose/silent loud/quiet noisy/quiet sharp/blunt
rough/smooth solid/liquid liquid/gas transparent/opaque foreground/background portrait/landscape
prepend/suffix header/footer head/tail head/body root/leaf parent/subclass ancestor/descendant
superclass/subclass superset/subset sub/super numerator/denominator dividend/divisor
encoder/decoder upside/downside upload/fetch rollout/rollback foreground/daemon opt-in/opt-out
incoming/outbound whitelisted/blacklisted vertical/lateral maximum/average minimum/average
mean/median horizontal/diagonal gain/lost weight-gain/weight-loss
"""

_KINDS = """
bash zsh fish csh tcsh ksh nushell powershell
linux windows macos mac osx freebsd openbsd netbsd android ios ipados
ubuntu debian fedora arch archlinux nixos gentoo centos rhel opensuse alpine manjaro guix mint
apt dnf yum pacman brew homebrew zypper nix-env snap flatpak apk choco winget
python java javascript typescript rust go c c++ c# ruby php perl haskell scala kotlin swift lua \
elixir erlang clojure ocaml julia r matlab fortran cobol pascal dart zig nim
python numpy pandas polars
mysql postgresql sqlite mariadb oracle mongodb redis cassandra dynamodb couchdb elasticsearch \
mssql neo4j duckdb clickhouse qdrant milvus memcached
get post put delete patch head options
http https ftp sftp ssh telnet smtp imap pop3 mqtt grpc websocket
tcp udp quic icmp
ipv4 ipv6
json yaml toml xml csv tsv ini html markdown protobuf parquet pdf docx
png jpg jpeg gif svg webp bmp tiff
aws azure gcp
chrome firefox safari edge opera brave
vim emacs neovim nano vscode intellij pycharm eclipse
docker podman kubernetes nomad lxc vagrant
nginx apache caddy haproxy traefik
git mercurial subversion svn
github gitlab bitbucket gitea
merge rebase cherry-pick squash
commit push pull fetch clone checkout stash reset revert
staged unstaged
react vue angular svelte
django flask fastapi rails laravel spring express
pip poetry conda uv pipenv pdm
npm yarn pnpm bun
pytest unittest nose
numpy torch pytorch tensorflow jax
list tuple dictionary dict set string integer int float boolean bool array bytes
char varchar text integer int bigint float double decimal boolean timestamp date json jsonb
inner left right outer full cross
where having
select insert update delete
primary foreign unique
union intersect except
btree hash gin gist
md5 sha1 sha256 sha512 bcrypt argon2 crc32
rsa ecdsa ed25519 aes des
utf-8 utf-16 ascii latin-1
systemd openrc runit cron
service timer socket
user group
file directory symlink
cpu gpu ram disk
cpu memory
amd intel nvidia arm
x86 arm64 aarch64 riscv
stdin stdout stderr
debug info warning error critical
flake channel overlay derivation
nix-build nix-shell nix-store nix-channel
monday tuesday wednesday thursday friday saturday sunday
january february march april may june july august september october november december
spring summer autumn winter
morning afternoon evening night
second minute hour day week month year decade
daily weekly monthly yearly hourly annually
millisecond microsecond nanosecond
today tomorrow yesterday
north south east west
red green blue yellow orange purple pink black white brown gray
gold silver bronze platinum copper iron
cat dog horse cow pig sheep rabbit
math physics chemistry biology history geography economics
english french german spanish italian portuguese dutch russian chinese japanese korean arabic \
hindi mandarin polish swedish turkish
america canada mexico brazil argentina britain england scotland ireland france germany spain \
italy portugal netherlands belgium switzerland austria poland sweden norway denmark finland \
russia ukraine china japan korea india pakistan bangladesh nepal australia egypt turkey iran \
iraq israel
earth moon sun mars venus jupiter saturn mercury neptune uranus pluto
facebook twitter instagram youtube whatsapp snapchat linkedin quora reddit tumblr pinterest \
tinder
google microsoft apple amazon netflix uber tesla samsung
christian muslim hindu jew buddhist atheist sikh
christianity islam hinduism judaism buddhism atheism
atom molecule
square circle triangle rectangle
centigrade celsius fahrenheit kelvin
mile kilometer meter centimeter inch yard
gram kilogram pound ounce ton
byte kilobyte megabyte gigabyte terabyte
dollar euro rupee yen
engineer doctor lawyer teacher nurse accountant
mechanical electrical civil chemical
"""


def _pairs(text: str) -> dict[str, frozenset[str]]:
    opposites: dict[str, set[str]] = {}
    for entry in text.split():
        one, _, other = entry.partition("/")
        a, b = stem(one), stem(other)
        if a != b:
            opposites.setdefault(a, set()).add(b)
            opposites.setdefault(b, set()).add(a)
    return {word: frozenset(its) for word, its in opposites.items()}


def _kinds(text: str) -> dict[str, frozenset[int]]:
    kinds: dict[str, set[int]] = {}
    for number, line in enumerate(text.strip().splitlines()):
        for word in line.split():
            kinds.setdefault(stem(word), set()).add(number)
    return {word: frozenset(numbers) for word, numbers in kinds.items()}


OPPOSITES: dict[str, frozenset[str]] = _pairs(_OPPOSITES)
KINDS: dict[str, frozenset[int]] = _kinds(_KINDS)

_PREFIXES = words(
    """a un dis non in im ir il de re mis anti counter over under pre post sub super auto inter
    intra hyper hypo ex en"""
)
_ENDINGS = (("ful", "less"), ("able", "less"), ("er", "ee"), ("or", "ee"), ("ward", "back"))


_SWAPS = (
    ("in", "ex"), ("im", "ex"), ("over", "under"), ("pre", "post"), ("up", "down"),
    ("inter", "intra"), ("hyper", "hypo"), ("macro", "micro"), ("in", "out"), ("en", "de"),
    ("sub", "super"), ("homo", "hetero"), ("mono", "poly"), ("multi", "single"),
    ("for", "back"), ("in", "de"), ("as", "de"), ("under", "up"),
)  # fmt: skip


def are_opposites(one: str, other: str) -> bool:
    """Whether two stems are listed opposites or differ by a reversing prefix or ending."""
    return other in OPPOSITES.get(one, ()) or opposite_by_form(one, other)


def opposite_by_form(one: str, other: str) -> bool:
    """Whether two stems differ by a reversing prefix or ending only."""
    if one[-2:] == other[-2:] and _by_prefix(one, other):
        return True
    return one[:2] == other[:2] and _by_ending(one, other)


def _by_prefix(one: str, other: str) -> bool:
    """mount and unmount; or in-clude and ex-clude, the same word after two prefixes."""
    short, long = (one, other) if len(one) < len(other) else (other, one)
    if len(short) > 2 and long.endswith(short) and long[: -len(short)] in _PREFIXES:
        return True
    for a, b in _SWAPS:
        if one.startswith(b) and other.startswith(a):
            a, b = b, a
        if one.startswith(a) and other.startswith(b) and one[len(a) :] == other[len(b) :]:
            return len(one) - len(a) > 2
    return False


def _by_ending(one: str, other: str) -> bool:
    """careful and careless, employer and employee."""
    for a, b in _ENDINGS:
        if one.endswith(b) and other.endswith(a):
            a, b = b, a
        if one.endswith(a) and other.endswith(b) and one[: -len(a)] == other[: -len(b)]:
            return True
    return False


def same_kind(one: str, other: str) -> bool:
    """Whether two different stems are members of one kind."""
    a = KINDS.get(one)
    return a is not None and one != other and not a.isdisjoint(KINDS.get(other, ()))
