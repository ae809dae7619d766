-- Adds what was spent while this server was away; idempotent, since a push is remembered by its id.
-- KEYS: the push, then the counter. ARGV: for how many ms the push is remembered, kind, limit, x, y, then bucket, change, ...
-- Returns a status ('ok', or 'cold' when the counter must be seeded instead), the time (µs), and how the counter stands.
local c = open(KEYS[2], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if not c.epoch then return line({'cold', now_us}) end
if redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then
  for i = 6, #ARGV, 2 do
    local bucket, change = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
    if c.rolling then bucket = math.min(bucket, c.bucket) end
    local holds = tonumber(redis.call('HGET', c.key, bucket) or 0)
    if not c.rolling or bucket >= c.tail then put(c, bucket, math.max(change, 0 - holds)) end
  end
end
return line(tell({'ok', now_us}, c))
