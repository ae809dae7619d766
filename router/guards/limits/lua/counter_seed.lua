-- Gives a lost counter an epoch, and raises any counter to what the caller knows was spent; never lowers it.
-- KEYS: the counter. ARGV: the epoch if it has none, kind, limit, x, y, then bucket, amount, bucket, amount, ...
-- Returns a status ('ok' or 'elsewhere'), the time (µs), and how the counter stands.
local c = open(KEYS[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if c.elsewhere then return line({'elsewhere', now_us}) end
if not c.epoch then
  c.epoch = ARGV[1]
  redis.call('HSET', c.key, 'epoch', c.epoch)
  if c.rolling then redis.call('HSET', c.key, 'sum', 0, 'tail', c.tail) end
  redis.call('PEXPIREAT', c.key, c.expires)
end

local known = {}
for i = 6, #ARGV, 2 do
  local bucket = math.min(tonumber(ARGV[i]), c.bucket)
  known[bucket] = (known[bucket] or 0) + tonumber(ARGV[i + 1])
end

-- From the newest bucket on, so that at no later moment less counts than is known. Not bucket by bucket: two accounts of
-- the same calls may disagree by one bucket about a call, which would then count twice.
local wanted, holds = 0, 0
for bucket = c.bucket, c.tail, -1 do
  holds = holds + (redis.call('HGET', c.key, bucket) or 0)
  wanted = wanted + (known[bucket] or 0)
  if wanted > holds then
    put(c, bucket, wanted - holds)
    holds = wanted
  end
end
return line(tell({'ok', now_us}, c))
