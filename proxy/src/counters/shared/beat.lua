-- A gateway says that it is there, in one bucket.
--
-- KEYS  1 the bucket's roll: since when it is kept, and who was there when
-- ARGV  1 node:epoch, 2 the number of this beat, 3 silence in ms after which a gateway is not there,
--       4 silence in ms after which it is forgotten
--
-- Answers {since when in ms, the number of the last beat of this process that is known here,
-- gateways there}. A roll that is younger than it was, or forgot a beat, tells of a loss.

local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local own = 'b:' .. ARGV[1]
local all = redis.call('HGETALL', KEYS[1])
local since_ms, last, there = nil, 0, 1
local gone = {}
for i = 1, #all, 2 do
  local name, value = all[i], all[i + 1]
  if name == 'since' then
    since_ms = tonumber(value)
  elseif name == own then
    last = tonumber(string.match(value, '^(%d+) '))
  else
    local silent_ms = now_ms - tonumber(string.match(value, ' (%d+)$'))
    if silent_ms <= tonumber(ARGV[3]) then
      there = there + 1
    elseif silent_ms > tonumber(ARGV[4]) then
      gone[#gone + 1] = name
    end
  end
end
if not since_ms then
  since_ms = now_ms
  redis.call('HSET', KEYS[1], 'since', string.format('%.0f', since_ms))
end
if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
end
redis.call('HSET', KEYS[1], own, ARGV[2] .. ' ' .. string.format('%.0f', now_ms))
return {since_ms, last, there}
