-- How counters stand. KEYS: the counters. ARGV: for each of them kind, limit, x, y.
-- Returns 'ok', the time (µs), and how each counter stands; a counter without an epoch is lost.
local reply = {'ok', now_us}
for i = 1, #KEYS do
  local at = 1 + (i - 1) * 4
  tell(reply, open(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]))
end
return line(reply)
