"""What must happen at once inside Redis to the extraction queue, as Lua, and its keys' names.

``stream`` holds one message (field ``id``) for each entry that waits or is
claimed; its consumer group knows which. ``entries`` is a hash from interaction
to the entry as JSON, ``places`` from interaction to its message, ``dead`` a
sorted set of dead letters by time, ``seen`` one of everything ever put in. All
keys have one hash tag, so the scripts also work on a Redis cluster.
"""

from __future__ import annotations

from typing import Final

GROUP: Final = "extractors"
NAMES: Final = (
    *("START", "ADD", "RESTORE", "CLAIM", "DONE", "AGAIN", "BURY"),
    *("REPLAY", "REMOVE", "RETIRE", "WAITING", "DEPTH"),
)
"""The scripts of this module."""

# KEYS: stream, entries, places, dead, seen.
_ENQUEUE: Final = """
local function enqueue(id, body)
  redis.call('HSET', KEYS[2], id, body)
  redis.call('HSET', KEYS[3], id, redis.call('XADD', KEYS[1], '*', 'id', id))
end
local function dequeue(id)
  local place = redis.call('HGET', KEYS[3], id)
  if place then
    redis.call('XACK', KEYS[1], ARGV[1], place)
    redis.call('XDEL', KEYS[1], place)
    redis.call('HDEL', KEYS[3], id)
  end
end
local function mine(id, consumer)
  local place = redis.call('HGET', KEYS[3], id)
  if not place then return false end
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], place, place, 1)
  return #pending == 1 and pending[1][2] == consumer
end
"""

_PUT: Final = """
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[5]) then return 0 end
enqueue(ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[5], ARGV[4], ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -1 - tonumber(ARGV[6]))
return 1
"""

START: Final = """
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP') then return made end
return 1
"""

ADD: Final = (
    _ENQUEUE
    + """
-- ARGV: group, id, body, now, most waiting, most seen.
if redis.call('ZSCORE', KEYS[5], ARGV[2]) then return 0 end
"""
    + _PUT
)

RESTORE: Final = (
    _ENQUEUE
    + """
-- As ADD, but only what is held in no state keeps it out.
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 1 or redis.call('ZSCORE', KEYS[4], ARGV[2]) then
  return 0
end
"""
    + _PUT
)

CLAIM: Final = (
    _ENQUEUE
    + """
-- ARGV: group, consumer, lease in ms. First what was claimed and whose lease has run out.
local function first_of(messages)
  for _, message in ipairs(messages) do
    local id = message[2][2]
    local body = redis.call('HGET', KEYS[2], id)
    if body then return body end
    dequeue(id)  -- only the message was left, say after an eviction
  end
end
local cursor = '0-0'
repeat
  local reply = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], cursor, 'COUNT', 1)
  cursor = reply[1]
  local body = first_of(reply[2])
  if body then return body end
until cursor == '0-0'
while true do
  local reply = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 1,
    'STREAMS', KEYS[1], '>')
  if not reply then return false end
  local body = first_of(reply[1][2])
  if body then return body end
end
"""
)

DONE: Final = (
    _ENQUEUE
    + """
-- ARGV: group, id, consumer.
if not mine(ARGV[2], ARGV[3]) then return 0 end
dequeue(ARGV[2])
return redis.call('HDEL', KEYS[2], ARGV[2])
"""
)

AGAIN: Final = (
    _ENQUEUE
    + """
-- ARGV: group, id, consumer, body. To the end of the stream: a group has no way back.
if not mine(ARGV[2], ARGV[3]) then return 0 end
dequeue(ARGV[2])
enqueue(ARGV[2], ARGV[4])
return 1
"""
)

BURY: Final = (
    _ENQUEUE
    + """
-- ARGV: group, id, consumer, body, now, most dead.
if not mine(ARGV[2], ARGV[3]) then return 0 end
dequeue(ARGV[2])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
redis.call('ZADD', KEYS[4], ARGV[5], ARGV[2])
local surplus = redis.call('ZCARD', KEYS[4]) - tonumber(ARGV[6])
if surplus > 0 then
  for _, old in ipairs(redis.call('ZRANGE', KEYS[4], 0, surplus - 1)) do
    redis.call('ZREM', KEYS[4], old)
    redis.call('HDEL', KEYS[2], old)
  end
end
return 1
"""
)

REPLAY: Final = (
    _ENQUEUE
    + """
-- ARGV: group, id, body.
if redis.call('ZREM', KEYS[4], ARGV[2]) == 0 then return 0 end
enqueue(ARGV[2], ARGV[3])
return 1
"""
)

REMOVE: Final = (
    _ENQUEUE
    + """
-- ARGV: group, id.
dequeue(ARGV[2])
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[4], ARGV[2])
return redis.call('ZREM', KEYS[5], ARGV[2])
"""
)

RETIRE: Final = """
-- ARGV: group, consumer. A consumer that still has claims stays: removing it would lose them.
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if #pending > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
"""

WAITING: Final = """
-- ARGV: group, most entries, most claims looked at.
local claimed, count = {}, 0
for _, row in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[3])) do
  claimed[row[1]] = true
  count = count + 1
end
local bodies = {}
for _, message in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[2] + count)) do
  local body = not claimed[message[1]] and redis.call('HGET', KEYS[2], message[2][2])
  if body and #bodies < tonumber(ARGV[2]) then bodies[#bodies + 1] = body end
end
return bodies
"""

DEPTH: Final = """
local claimed = redis.call('XPENDING', KEYS[1], ARGV[1])[1]
return {redis.call('XLEN', KEYS[1]) - claimed, claimed, redis.call('ZCARD', KEYS[4])}
"""


def key_names(prefix: str) -> list[str]:
    """Stream, entries, places, dead, seen, as the scripts' KEYS."""
    base = f"{prefix}{{learning}}:"
    return [base + name for name in ("stream", "entries", "places", "dead", "seen")]
