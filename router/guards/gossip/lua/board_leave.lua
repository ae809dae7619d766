-- A replica leaves: it is no longer counted, and gives back its leases. KEYS: replicas, lease, ... ARGV: its name.
redis.call('ZREM', KEYS[1], ARGV[1])
for i = 2, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then redis.call('DEL', KEYS[i]) end
end
return 1
