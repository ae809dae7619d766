-- Settles a reservation, once: turns what was reserved into what was spent, in the bucket where it was reserved, if that
-- still counts. Then lowers what is left to what the provider reports, until the moment at which it says that it resets.
-- A reservation that is not there may still be on its way, on another connection, from a caller that has given up: it is
-- marked void, so that it takes nothing when it comes.
-- KEYS: the reservation, then the counters. ARGV: for how many ms a void reservation is remembered, then for each
-- counter kind, limit, x, y, the change, what the provider reports as left and in how many ms it resets (-1: no report).
-- Returns a status ('ok', or 'gone' if there was no reservation), the time (µs), and how each counter stands.
local taken = redis.call('GET', KEYS[1])
if taken == 'void' then
  taken = false
elseif taken then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], 'void', 'PX', ARGV[1])
end
local buckets = string.gmatch(taken or '', '%S+')

local function resetting(c, in_ms)
  if not c.rolling or in_ms < 0 then return c.bucket end
  local bucket = math.ceil((now + in_ms - c.window) / c.width) - 1
  return math.max(c.tail, math.min(bucket, c.bucket))
end

local reply = {taken and 'ok' or 'gone', now_us}
for i = 2, #KEYS do
  local at = 2 + (i - 2) * 7
  local c = open(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  local change, left, in_ms = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local bucket = taken and tonumber(buckets())
  if c.epoch and taken and change ~= 0 and redis.call('HEXISTS', c.key, bucket) == 1 then put(c, bucket, change) end
  if c.epoch and left >= 0 and not c.elsewhere and c.limit - c.used > left then
    put(c, resetting(c, in_ms), c.limit - c.used - left)
  end
  tell(reply, c)
end
return line(reply)
