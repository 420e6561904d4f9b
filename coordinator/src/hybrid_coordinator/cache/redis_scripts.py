"""What must happen at once inside Redis, as Lua, and the names of the keys.

``order`` is a sorted set of members by expiry (so oldest first), ``home`` a hash from member to
the partition its vector is in, ``entry:<exact>`` a body, ``near:<partition>`` a vector set of
exact keys, ``version:<collection>`` a number, ``links`` a hash from interaction to member with
``links:order`` as the list that bounds it. The scripts form key names of members they remove, so
they are for one server, not for a Redis cluster.
"""

from __future__ import annotations

from hybrid_coordinator.settings import Collection

TRIM_BATCH = 64
"""Entries that may leave for one that comes; keeps a script short after limits were lowered."""

_DROP = """
local function forget_vector(member)
  local partition = redis.call('HGET', prefix .. 'home', member)
  if partition then
    redis.call('HDEL', prefix .. 'home', member)
    redis.call('VREM', prefix .. 'near:' .. partition, string.sub(member, -32))
  end
end
local function drop(member)
  forget_vector(member)
  redis.call('ZREM', prefix .. 'order', member)
  return redis.call('DEL', prefix .. 'entry:' .. string.sub(member, -32))
end
"""

PUT = (
    """
local prefix, member, body, ttl_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local most, batch, partition = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
"""
    + _DROP
    + """
local order = prefix .. 'order'
for i = 8, #ARGV, 2 do
  if (redis.call('GET', prefix .. 'version:' .. ARGV[i]) or '0') ~= ARGV[i + 1] then
    return {0, redis.call('ZCARD', order)}
  end
end
-- The first write of a script is the only one that Redis refuses for want of memory.
redis.call('SET', prefix .. 'entry:' .. string.sub(member, -32), body, 'PX', ttl_ms)
forget_vector(member)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', order, now + ttl_ms, member)
if partition ~= '' then
  redis.call('HSET', prefix .. 'home', member, partition)
end
local entries = redis.call('ZCARD', order)
local surplus = math.max(entries - most, redis.call('ZCOUNT', order, '-inf', now))
surplus = math.min(surplus, batch)
if surplus > 0 then
  for _, old in ipairs(redis.call('ZRANGE', order, 0, surplus - 1)) do
    drop(old)
  end
end
return {1, entries - surplus}
"""
)

REMOVE = (
    """
local prefix = ARGV[1]
"""
    + _DROP
    + """
local removed = 0
for i = 2, #ARGV do
  removed = removed + drop(ARGV[i])
end
return removed
"""
)

LINK = """
local prefix, most, ttl_ms = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local links, order = prefix .. 'links', prefix .. 'links:order'
for i = 4, #ARGV, 2 do
  if redis.call('HSET', links, ARGV[i], ARGV[i + 1]) == 1 then
    redis.call('RPUSH', order, ARGV[i])
  end
end
local surplus = redis.call('LLEN', order) - most
for _ = 1, surplus do
  redis.call('HDEL', links, redis.call('LPOP', order))
end
redis.call('PEXPIRE', links, ttl_ms)
redis.call('PEXPIRE', order, ttl_ms)
return 1
"""


class Keys:
    """Names of the keys below one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = f"{prefix}cache:"
        self.order = f"{self.prefix}order"
        self.home = f"{self.prefix}home"
        self.links = f"{self.prefix}links"
        self.probe = f"{self.prefix}probe"
        self.versions = [self.version(collection) for collection in Collection]

    def entry(self, exact: str) -> str:
        return f"{self.prefix}entry:{exact}"

    def near(self, partition: str) -> str:
        return f"{self.prefix}near:{partition}"

    def version(self, collection: Collection) -> str:
        return f"{self.prefix}version:{collection}"
