-- A gateway says that it is there, in one bucket.
--
-- KEYS  1 the bucket's roll: since when it is kept, since when the ledger is asked, who was there when, how
--       many were counted when, until when nobody was there, and when one spoke last that is silent
-- ARGV  1 node:epoch, 2 the number of this beat, 3 of the last word that was acknowledged before, 4 since when
--       the roll of that was kept, 5 silence in ms after which a gateway is not there, 6 silence in ms after
--       which it is forgotten, 7 ms for which a count holds, 8 ms without a count after which nobody was there
--
-- Answers {since when in ms, the number of the last beat of this process that is known here,
-- gateways there}. A roll that is younger than it was, or forgot a beat, tells of a loss; the first who finds
-- it put back begins it anew, so that the others hear of it too.
--
-- All gateways are read only when the count has aged or one comes anew with a beat: each of a thousand reading a
-- thousand would be more than a server answers.

local FORGOTTEN_AT_ONCE = 1000

local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local number, word_known, since_known = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local silent_ms, forgotten_ms = tonumber(ARGV[5]), tonumber(ARGV[6])
local count_ms, alone_ms = tonumber(ARGV[7]), tonumber(ARGV[8])
local own = 'b:' .. ARGV[1]
local known = redis.call('HMGET', KEYS[1], 'since', own, 'counted')
local since_ms = tonumber(known[1])
local last = known[2] and tonumber(string.match(known[2], '^(%d+) ')) or 0
if since_ms and since_known > 0
    and (since_ms < since_known or (since_ms == since_known and last < word_known)) then
  since_ms = nil
end
local there, counted_ms
if known[3] then
  there, counted_ms = string.match(known[3], '^(%d+) (%d+)$')
  there, counted_ms = tonumber(there), tonumber(counted_ms)
end

local function count()
  local others, gone, silent_last_ms = 0, {}, 0
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local name, value = all[i], all[i + 1]
    if string.sub(name, 1, 2) == 'b:' and name ~= own then
      local spoke_ms = tonumber(string.match(value, ' (%d+)$'))
      local silence_ms = now_ms - spoke_ms
      if silence_ms <= silent_ms then
        others = others + 1
      elseif silence_ms <= forgotten_ms then
        silent_last_ms = math.max(silent_last_ms, spoke_ms)
      elseif #gone < FORGOTTEN_AT_ONCE then
        gone[#gone + 1] = name
      end
    end
  end
  if #gone > 0 then
    redis.call('HDEL', KEYS[1], unpack(gone))
  end
  return others + 1, silent_last_ms
end

local is_new = not since_ms
since_ms = since_ms or now_ms
-- Of words that overtake each other the later one stays.
local fields = { own, string.format('%.0f %.0f', math.max(number, last), now_ms) }
-- A clock that ran back leaves a count from later than now.
if not there or not known[2] or now_ms < counted_ms or now_ms - counted_ms >= count_ms then
  local silent_last_ms
  there, silent_last_ms = count()
  fields[#fields + 1] = 'counted'
  fields[#fields + 1] = there .. ' ' .. string.format('%.0f', now_ms)
  fields[#fields + 1] = 'silent'
  fields[#fields + 1] = string.format('%.0f', silent_last_ms)
end
if counted_ms and now_ms - counted_ms >= alone_ms then
  fields[#fields + 1] = 'away'
  fields[#fields + 1] = string.format('%.0f', now_ms)
end
if is_new then
  fields[#fields + 1] = 'since'
  fields[#fields + 1] = string.format('%.0f', since_ms)
end
-- A process that is new finds nobody there who could tell whether what was said last is lost.
if is_new or (since_known == 0 and not known[2] and now_ms - (counted_ms or 0) >= alone_ms) then
  fields[#fields + 1] = 'asked'
  fields[#fields + 1] = string.format('%.0f', now_ms)
end
redis.call('HSET', KEYS[1], unpack(fields))
return {since_ms, last, there}
