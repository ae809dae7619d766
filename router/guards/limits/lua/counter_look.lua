-- How counters stand. KEYS: the counters. ARGV: for each kind, limit, x, y.
-- Returns 'ok', the time (µs), and how each stands; one without a life is not known.
local reply = {'ok', now_us}
for i = 1, #KEYS do
  local at = 1 + (i - 1) * 4
  tell(reply, open(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]))
end
return line(reply)
