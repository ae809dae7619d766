-- Reads the board if it has changed. Facts that have ended are left out, and removed on the way.
-- KEYS: facts, version, replicas, alive.
-- ARGV: the version that the caller has read, its name, and in seconds: how often it signals that it is alive, for how
-- long it counts as alive after that, and for how long a seat's last answer is kept.
-- Returns the server's time (s, µs), the version, how many replicas are alive and, if the version is new, field, fact, ...
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

-- pcall: a server that refuses writes can still be read.
local last = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[2]) or 0)
if now - last >= tonumber(ARGV[3]) then
  redis.pcall('ZADD', KEYS[3], time[1], ARGV[2])
  redis.pcall('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. (tonumber(time[1]) - tonumber(ARGV[4])))
  redis.pcall('ZREMRANGEBYSCORE', KEYS[4], '-inf', '(' .. (tonumber(time[1]) - tonumber(ARGV[5])))
end

local version = redis.call('GET', KEYS[2])
if not version or not string.match(version, '^%d+$') then version = '0' end
local living = redis.call('ZCOUNT', KEYS[3], tonumber(time[1]) - tonumber(ARGV[4]), '+inf')
local reply = {time[1], time[2], version, living}
if version == ARGV[1] then return reply end

local facts = redis.call('HGETALL', KEYS[1])
for i = 1, #facts, 2 do
  local sound, fact = pcall(cjson.decode, facts[i + 1])
  if sound and type(fact) == 'table' and type(fact['until']) == 'number' and fact['until'] <= now then
    redis.pcall('HDEL', KEYS[1], facts[i])
  else
    reply[#reply + 1] = facts[i]
    reply[#reply + 1] = facts[i + 1]
  end
end
return reply
