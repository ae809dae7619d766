-- Writes facts on the board, except where the fact that stands there prevails. Idempotent.
-- KEYS: facts, version. ARGV: field, fact, field, fact, ...
-- Returns for each field the fact that stands now.
local TEXTS = {'kind', 'subject', 'state', 'reason', 'by', 'mark'}

local function read(text)
  local sound, fact = pcall(cjson.decode, text)
  if not sound or type(fact) ~= 'table' then return nil end
  for _, name in ipairs(TEXTS) do
    if type(fact[name]) ~= 'string' then return nil end
  end
  if type(fact.at) ~= 'number' or fact.at >= 1e11 then return nil end
  return fact
end

-- Of two waits or drains with the same mark the longer one prevails, of all else the later one. An empty state is a
-- withdrawal.
local function prevails(old, new)
  local may_last = (new.kind == 'wait' or new.kind == 'drain') and old.state ~= '' and new.state ~= ''
  if may_last and old.mark == new.mark then
    if type(old['until']) ~= 'number' then return true end
    return type(new['until']) == 'number' and old['until'] >= new['until']
  end
  return old.at > new.at
end

local stands, changed = {}, false
for i = 1, #ARGV, 2 do
  local field, text = ARGV[i], ARGV[i + 1]
  local before = redis.call('HGET', KEYS[1], field)
  local old = before and read(before)
  if before ~= text and old and prevails(old, read(text)) then
    text = before
  elseif before ~= text then
    redis.call('HSET', KEYS[1], field, text)
    changed = true
  end
  stands[#stands + 1] = text
end

if changed then
  local version = redis.call('GET', KEYS[2])
  if not version or not string.match(version, '^%d+$') then
    -- Not from 1: after everything was lost, no version may come again that a replica has read before.
    local time = redis.call('TIME')
    redis.call('SET', KEYS[2], string.format('%s%06d', time[1], tonumber(time[2])))
  end
  redis.call('INCR', KEYS[2])
end
return stands
