-- What every counter script needs to know about a counter; prepended to each of them.
--
-- A counter is one hash. Fields that are numbers are buckets, each with the amount that was spent in it. `epoch` names
-- the counter's life since it was last seeded: without it nobody knows what was spent, and nothing may be granted.
--   A rolling counter has a bucket for each `width` ms of the last `window`, numbered by time. `sum` is the amount that
--   counts now, `tail` the oldest bucket that may still hold part of it.
--   A calendar counter has a bucket for each period, named by the period's start. `elsewhere` is true when the caller
--   takes another period for the present one: then its clock is wrong, since this server's clock decides.
-- All times are Unix time in ms by this server's clock.

local AFTERLIFE_MS = 48 * 3600 * 1000 -- an empty counter that outlives its window proves that nothing was forgotten

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)

-- Takes the buckets that no longer count out of the sum. No bucket lies more than one window ahead of the tail.
local function forget(c, sum)
  local gone = 0
  for bucket = c.tail, math.min(c.first - 1, c.tail + math.ceil(c.window / c.width) + 1) do
    local amount = redis.call('HGET', c.key, bucket)
    if amount then
      gone = gone + amount
      redis.call('HDEL', c.key, bucket)
    end
  end
  c.tail = c.first
  redis.call('HSET', c.key, 'tail', c.tail)
  return redis.call('HINCRBY', c.key, 'sum', 0 - gone) -- not -gone: Lua writes a negative zero as one
end

-- The counter of a key. For `kind` 'rolling', x and y are the bucket width and the window; for 'calendar', start and end.
local function open(key, kind, limit, x, y)
  local c = {key = key, rolling = kind == 'rolling', limit = tonumber(limit)}
  x, y = tonumber(x), tonumber(y)
  if c.rolling then
    c.width, c.window, c.first, c.expires = x, y, math.floor((now - y) / x), now + y + AFTERLIFE_MS
    local held = redis.call('HMGET', key, 'epoch', 'sum', 'tail')
    c.epoch, c.used, c.tail = held[1], tonumber(held[2] or 0), tonumber(held[3] or c.first)
    if c.epoch and c.tail < c.first then c.used = forget(c, c.used) end
    c.bucket = math.max(math.floor(now / x), c.tail) -- the tail is ahead if this server's clock was set back
  else
    c.ends, c.bucket, c.tail, c.expires = y, x, x, y + AFTERLIFE_MS
    c.elsewhere = now < x or now >= y
    local held = redis.call('HMGET', key, 'epoch', x)
    c.epoch, c.used = held[1], tonumber(held[2] or 0)
  end
  return c
end

-- Adds an amount, which may be negative, to a bucket.
local function put(c, bucket, amount)
  local holds = redis.call('HINCRBY', c.key, bucket, amount)
  if c.rolling then
    c.used = redis.call('HINCRBY', c.key, 'sum', amount)
  elseif bucket == c.bucket then
    c.used = holds
    if holds == amount then -- the first of its period: drops all buckets but this one and the last
      for _, field in ipairs(redis.call('HKEYS', c.key)) do
        local start = tonumber(field)
        if start and start < c.bucket - 2 * (c.ends - c.bucket) then redis.call('HDEL', c.key, field) end
      end
    end
  end
  redis.call('PEXPIREAT', c.key, c.expires)
end

-- In how many ms the amount `over` will have left the window; 0 if there is nothing to wait for.
local function wait(c, over)
  if over <= 0 then return 0 end
  if not c.rolling then return c.ends - now end
  local freed = 0
  for bucket = c.tail, c.bucket do
    freed = freed + (redis.call('HGET', c.key, bucket) or 0)
    if freed >= over then return (bucket + 1) * c.width + c.window - now end
  end
  return c.window
end

-- Appends to a reply how the counter stands: its bucket, the amount used, its epoch, and in how many ms one more fits.
local function tell(reply, c)
  reply[#reply + 1] = c.bucket
  reply[#reply + 1] = c.used
  reply[#reply + 1] = c.epoch or '-'
  reply[#reply + 1] = wait(c, c.used + 1 - c.limit)
  return reply
end

-- The reply as one line of words, which a client parses several times faster than a list.
local function line(reply)
  for i, word in ipairs(reply) do
    if type(word) == 'number' then reply[i] = string.format('%.0f', word) end
  end
  return table.concat(reply, ' ')
end

