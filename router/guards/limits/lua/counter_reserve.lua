-- Takes an amount from each counter of a seat, or from none of them. Idempotent: the same reservation takes nothing more.
-- KEYS: the reservation, then the counters. ARGV: for how many ms the reservation is remembered, then for each counter
-- kind, limit, x, y, amount.
-- Returns a status, the time (µs), in how many ms the amounts will fit, which counter takes longest, and how each stands.
-- The status: 'ok'; 'full'; 'cold', a counter must be seeded first; 'elsewhere' and 'void', with nothing but the time.
-- 'void': the reservation was settled before it came here, since its caller had given up: nobody waits for it.
local taken = redis.call('GET', KEYS[1])
if taken == 'void' then return line({'void', now_us}) end

local counters, cold = {}, false
for i = 2, #KEYS do
  local at = 2 + (i - 2) * 5
  local c = open(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  c.amount = tonumber(ARGV[at + 4])
  if c.elsewhere then return line({'elsewhere', now_us}) end
  cold = cold or not c.epoch
  counters[#counters + 1] = c
end

local status, longest, which = 'ok', 0, 0
if taken then
  local buckets = string.gmatch(taken, '%S+')
  for _, c in ipairs(counters) do c.bucket = tonumber(buckets()) end
elseif cold then
  status = 'cold'
else
  for i, c in ipairs(counters) do
    local ms = c.amount > 0 and wait(c, c.used + c.amount - c.limit) or 0
    if ms > longest then status, longest, which = 'full', ms, i end
  end
end

if status == 'ok' and not taken then
  local buckets = {}
  for i, c in ipairs(counters) do
    put(c, c.bucket, c.amount)
    buckets[i] = string.format('%.0f', c.bucket)
  end
  redis.call('SET', KEYS[1], table.concat(buckets, ' '), 'PX', ARGV[1])
end

local reply = {status, now_us, longest, which}
for _, c in ipairs(counters) do tell(reply, c) end
return line(reply)
