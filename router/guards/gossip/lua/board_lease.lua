-- Takes an exclusive lease, or extends one's own. KEYS: the lease. ARGV: the caller's name, for how many ms. Returns 1 or 0.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
