-- One draw of one gateway: from the rate and the quota of a subscription together, or from neither.
--
-- KEYS  1 the bucket's roll: since when it is kept, since when the ledger is asked, who was there when, until
--       when nobody was, and when one spoke last that is silent, 2 the quota of one period, 3 the rate, 4 the period
--       that the subscription counts in; all of one slot
-- ARGV  in the order in which they are taken below
--
-- What a gateway has used it states as a whole, never as a difference, so that a repeat changes
-- nothing and what was lost here comes back with its next draw. Fields of a quota:
--
--   used held seeded    what all have used and hold; of that, what is held; `asked` of the roll when the ledger was
--   p:<node>:<epoch>    "total hold seq" of one process
--   n:<node>            "total epoch": what processes of a node before that epoch have used
--   a:<node>            those of them that still draw beside it, with commas
--   l:<node>            what the ledger says of a node, where that is more than what is known from itself
--   revision limit at   the newest limit that anyone has stated, and when
--   looked              "when grew": when it was looked whether gateways are silent that have drawn of this, and whether
--                       the ledger had more of one since
--
-- Everything is read before anything is written, so that a key of a wrong type changes nothing.

local DONE, STALE, UNKNOWN, UNSEEDED, COUNTING, RELIEVED, OTHER_PERIOD = 0, 1, 2, 3, 4, 5, 6

-- How often it is looked whether gateways are silent; and where the ledger has no more of them, after what part of
-- their silence.
local LOOK_MS, LOOK_PART = 2000, 8

-- How long after the quota the period is forgotten: a subscription that calls each month is known.
local PERIOD_KEPT_MS = 40 * 86400000

local taken = 0
local function text()
  taken = taken + 1
  return ARGV[taken]
end
local function number()
  return tonumber(text())
end
local function whole(value)
  return string.format('%.0f', value)
end

local node, epoch, seq = text(), text(), number()
-- The number of this word, of the last one that was acknowledged before it was said, and the roll of that.
local word, word_known, since_known = number(), number(), number()
-- How long after its making a roll still waits for gateways to speak; how far clocks may differ; after how long
-- without a count of them nobody was there; after what silence of a process what it held is free again.
local roll_ms, skew_ms, alone_ms, silent_ms = number(), number(), number(), number()
-- How long a quota is kept after its period; how far apart the same day begins in all time zones.
local keep_ms, spread_ms = number(), number()
local counts, limit, revision = text() == '1', number(), number()
local total, hold = number(), number()
local first, need, want, nodes = number(), number(), number(), number()
local unused_until_ms, start_ms, end_ms, is_confirmed = number(), number(), number(), text() == '1'
-- Stated by a process that comes here for the first time, as far as it knows.
local past, past_is_whole = number(), text() == '1'
local interval_ns, window_ns = number(), number()
local calls_need, calls_want, lease_ns = number(), number(), number()
local owed_ns, answered, apart_ns, seen_ns, debt_max_ns = number(), number(), number(), number(), number()
local alive, alive_words = {}, {}
for i = 1, number() do
  alive_words[i] = text()
  alive['p:' .. node .. ':' .. alive_words[i]] = true
end
-- -1: the ledger was not asked.
local seeds = number()

local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now_ms = math.floor(now_us / 1000)

local function parts(field)
  local field_total, field_hold, field_seq = string.match(field, '^(%-?%d+) (%d+) (%d+)$')
  return tonumber(field_total), tonumber(field_hold), tonumber(field_seq)
end

local own, own_beat, own_owed = 'p:' .. node .. ':' .. epoch, 'b:' .. node .. ':' .. epoch, 'o:' .. node .. ':' .. epoch
local roll = redis.call('HMGET', KEYS[1], 'since', own_beat, 'asked', 'counted', 'away', 'silent')
local since_ms = tonumber(roll[1])
-- What the ledger said before is not believed.
local asked_ms = tonumber(roll[3]) or since_ms
local counted_ms = roll[4] and tonumber(string.match(roll[4], ' (%d+)$')) or 0
local last_word = roll[2] and tonumber(string.match(roll[2], '^(%d+) ')) or 0
local is_put_back = since_ms and since_known > 0
  and (since_ms < since_known or (since_ms == since_known and last_word < word_known))
if is_put_back then
  -- To before a word that it had acknowledged: what others have said since is lost as well.
  since_ms = nil
end
local quota, rate, running = {}, {}, {}
if counts then
  running = redis.call('HMGET', KEYS[4], 'start', 'end')
  quota = redis.call('HMGET', KEYS[2], 'used', 'held', 'seeded', 'revision', 'limit', 'at', own,
    'n:' .. node, 'a:' .. node, 'l:' .. node, 'looked')
end
if interval_ns > 0 then
  rate = redis.call('HMGET', KEYS[3], 'debt', 'at', own, 'window', 'ahead', own_owed)
end

-- Of two periods by the calendars before and after an edit, the one that is counted in goes on until it ends. One that
-- is yet to begin, or is over, is by a clock that is wrong.
local function runs(from_ms, until_ms)
  return from_ms <= now_ms + skew_ms and now_ms < until_ms
end
local running_ms, running_end_ms = tonumber(running[1]), tonumber(running[2])
if running_ms and now_ms >= running_end_ms and math.abs(running_ms - start_ms) <= spread_ms then
  -- The same month, by a calendar that has another time zone by now and ends it later.
  running_end_ms = math.max(running_end_ms, end_ms)
end
local is_other = running_ms ~= start_ms or running_end_ms < end_ms
if running_ms and is_other and running_ms < end_ms and start_ms < running_end_ms
    and runs(running_ms, running_end_ms) then
  return {OTHER_PERIOD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, running_ms, running_end_ms}
end

local was_total, was_hold, was_seq = 0, 0, 0
if counts and quota[7] then
  was_total, was_hold, was_seq = parts(quota[7])
elseif not counts and rate[3] then
  was_seq = tonumber(rate[3])
end
if seq <= was_seq then
  return {STALE, was_seq}
end
if counts and not quota[7] and not past then
  return {UNKNOWN, 0}
end
local was_past, was_epoch, beside = 0, 0, quota[9]
if quota[8] then
  was_past, was_epoch = string.match(quota[8], '^(%-?%d+) (%d+)$')
  was_past, was_epoch = tonumber(was_past), tonumber(was_epoch)
  if not quota[7] and was_epoch > tonumber(epoch) and beside
      and not string.find(',' .. beside .. ',', ',' .. epoch .. ',', 1, true) then
    -- A process that has ended: its successor has said so, and this word of it was late.
    return {RELIEVED, 0}
  end
end

local is_roll_new = not since_ms
if is_roll_new then
  since_ms, asked_ms = now_ms, now_ms
elseif since_known == 0 and not roll[2] and now_ms - counted_ms >= alone_ms then
  -- A process that is new finds nobody there who could tell whether what was said last is lost.
  asked_ms = now_ms
end
-- Whatever was used, was used since then: then what is missing was never there. A moment that is still to
-- come is by a clock that is wrong. Of a subscription that is not known here, another period may be running.
if running_ms or (tonumber(quota[3]) or 0) > 0 then
  unused_until_ms = math.max(unused_until_ms, start_ms)
end
local is_whole = unused_until_ms >= asked_ms + skew_ms and unused_until_ms <= now_ms + skew_ms
local is_young = not is_whole and now_ms >= since_ms and now_ms - since_ms < roll_ms

local status = DONE
local used, held, granted = 0, 0, 0
-- Whether the ledger was asked under this roll; what would be free if it were asked.
local is_seeded, freeable = false, 0
-- Whether the ledger may know more of gateways that do not speak any more.
local is_missed, looked = false, quota[11]
local limited_at = now_ms
local asks_hard = counts and limit >= 0
local set, gone = {}, {}
local function put(name, value)
  set[#set + 1] = name
  set[#set + 1] = value
end

-- All fields, read when more than the own ones matter.
local fields
local function each(prefix)
  fields = fields or redis.call('HGETALL', KEYS[2])
  local found = {}
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, #prefix) == prefix then
      found[#found + 1] = { fields[i], string.sub(fields[i], #prefix + 1), fields[i + 1] }
    end
  end
  return found
end
-- What the ledger has of a node beyond what is known from the node itself, hold included.
local freed, said_of = {}, {}
local known
local function beyond(name, ledger)
  if not known then
    known = {}
    for _, process in ipairs(each('p:')) do
      local process_total, process_hold = parts(process[3])
      local of = string.match(process[2], '^(.*):%d+$')
      known[of] = (known[of] or 0) + process_total + process_hold
    end
    for _, before in ipairs(each('n:')) do
      known[before[2]] = (known[before[2]] or 0) + tonumber(string.match(before[3], '^(%-?%d+) '))
    end
  end
  return math.max(0, ledger - (known[name] or 0) + (freed[name] or 0))
end
-- What a process holds that does not speak any more is free again once the ledger has said how much of it was
-- used. Says how much that is.
local function free_held(is_asked)
  local sum = 0
  for _, process in ipairs(each('p:')) do
    local process_total, process_hold, process_seq = parts(process[3])
    if process_hold > 0 and process[1] ~= own then
      local beat = redis.call('HGET', KEYS[1], 'b:' .. process[2])
      if not beat or now_ms - tonumber(string.match(beat, ' (%d+)$')) >= silent_ms then
        sum = sum + process_hold
        if is_asked then
          local name = string.match(process[2], '^(.*):%d+$')
          local ledger = said_of[name] or tonumber(redis.call('HGET', KEYS[2], 'l:' .. name)) or 0
          local before = beyond(name, ledger)
          freed[name] = (freed[name] or 0) + process_hold
          local after = beyond(name, ledger)
          used, held = used - process_hold + after - before, held - process_hold
          put(process[1], whole(process_total) .. ' 0 ' .. whole(process_seq))
          if after > 0 then
            put('l:' .. name, whole(ledger))
          end
        end
      end
    end
  end
  return sum
end

-- Whether one that has drawn of this is silent. It may be cut off from here alone, and go on by itself.
local function misses_one()
  local silent_ms_last = tonumber(roll[6]) or 0
  local last_ms, grew = string.match(looked or '0 0', '^(%d+) (%d)$')
  local wait_ms = LOOK_MS
  if grew == '0' then
    wait_ms = math.max(wait_ms, (now_ms - silent_ms_last) / LOOK_PART)
  end
  if silent_ms_last == 0 or math.abs(now_ms - tonumber(last_ms)) < wait_ms then
    return false
  end
  looked = whole(now_ms) .. ' 0'
  for _, process in ipairs(each('p:')) do
    local beat = process[1] ~= own and redis.call('HGET', KEYS[1], 'b:' .. process[2])
    if beat and tonumber(string.match(beat, ' (%d+)$')) <= silent_ms_last then
      return true
    end
  end
  return false
end

if counts then
  used, held = tonumber(quota[1]) or 0, tonumber(quota[2]) or 0
  is_seeded = is_whole or tonumber(quota[3]) == asked_ms
  if quota[10] then
    -- It speaks for itself now.
    local ledger = tonumber(quota[10])
    used = used - beyond(node, ledger)
    gone[#gone + 1] = 'l:' .. node
    if past and not past_is_whole then
      -- What the ledger has of this node may hold what this process has used.
      past = math.max(past, ledger - total)
    end
  end
  used = used - was_total - was_hold + total + hold
  held = held - was_hold + hold
  if past then
    for _, process in ipairs(each('p:' .. node .. ':')) do
      if not alive[process[1]] and tonumber(process[2]) < tonumber(epoch) then
        -- One that has ended: what it had used is in the past that is stated now.
        local ended_total, ended_hold = parts(process[3])
        used, held = used - ended_total - ended_hold, held - ended_hold
        gone[#gone + 1] = process[1]
      end
    end
    if was_epoch > tonumber(epoch) or (was_epoch > 0 and next(alive)) then
      -- In an upgrade two processes of a node draw. What ended before both is stated already, and
      -- what the older one uses it states itself, until it has ended too.
      past = was_past
    else
      if not past_is_whole then
        past = math.max(past, was_past)
      end
      was_epoch, beside = epoch, table.concat(alive_words, ',')
    end
    used = used - was_past + past
    put('n:' .. node, whole(past) .. ' ' .. was_epoch)
    put('a:' .. node, beside or '')
  end
  for _ = 1, seeds do
    local other, units = text(), number()
    if other ~= node then
      local said = tonumber(redis.call('HGET', KEYS[2], 'l:' .. other)) or 0
      -- Of two answers of the ledger the later is the larger.
      said_of[other] = math.max(units, said)
      if units > said then
        local more = beyond(other, units)
        if more > 0 then
          used = used - beyond(other, said) + more
          put('l:' .. other, whole(units))
          looked = whole(now_ms) .. ' 1'
        end
      end
    end
  end
  is_seeded = is_seeded or seeds >= 0
  local known_revision = tonumber(quota[4])
  if known_revision and revision < known_revision and now_ms - tonumber(quota[6]) < 60000 then
    revision, limit, limited_at = known_revision, tonumber(quota[5]), tonumber(quota[6])
  end
  if not is_seeded then
    status = UNSEEDED
  elseif is_young then
    status = COUNTING
  elseif limit >= 0 then
    local left = math.max(0, limit - used)
    if (left < need or seeds >= 0) and held > hold then
      freeable = free_held(seeds >= 0)
      left = math.max(0, limit - used)
    end
    granted = math.min(left, math.max(need, math.min(want, math.floor(left / (2 * nodes)))))
    if hold + granted < first then
      -- Too little for the call that waits is left to others.
      granted = 0
    end
    is_missed = want > 0 and seeds < 0 and misses_one()
  elseif asks_hard then
    -- By the newer word nobody is refused any more.
    granted = math.max(need, want)
  end
end
if not counts and is_young then
  status = COUNTING
end
local can_pay = not counts or limit < 0 or hold + granted >= first

local calls, wait_ns, debt_ns, is_leased, ahead_ns = 0, 0, 0, 0, 0
if interval_ns > 0 then
  local elapsed_ns = 0
  if rate[2] then
    -- A clock that ran back lets no time pass, and takes none away.
    elapsed_ns = math.max(0, now_us - tonumber(rate[2])) * 1000
    debt_ns = math.max(0, tonumber(rate[1]) - elapsed_ns)
    local window_before_ns = tonumber(rate[4]) or window_ns
    if window_before_ns ~= window_ns then
      -- Of another rate, the same part of the burst is used.
      debt_ns = math.min(window_ns, math.ceil(debt_ns / window_before_ns * window_ns))
    end
  end
  -- Of what is owed, a question that nobody heard the answer of has stated a part.
  local stated_seq, stated_ns = string.match(rate[6] or '0 0', '^(%d+) (%d+)$')
  local stated_again_ns = tonumber(stated_seq) > answered and math.max(0, tonumber(stated_ns) - elapsed_ns) or 0
  local unstated_ns = math.max(0, owed_ns - stated_again_ns)
  local away_ms = now_ms - counted_ms >= alone_ms and now_ms or tonumber(roll[5]) or 0
  local were_all_apart = owed_ns > 0 and now_ms - apart_ns / 1000000 <= away_ms
  local weighs = not rate[2] or is_put_back or is_young or were_all_apart
  -- What one has stated for all is paid ahead for the others.
  ahead_ns = math.min(tonumber(rate[5]) or 0, debt_ns)
  local paid_ns = weighs and math.min(unstated_ns, ahead_ns) or 0
  debt_ns = math.max(debt_ns, math.min(debt_ns + unstated_ns - paid_ns, debt_max_ns))
  ahead_ns = ahead_ns - paid_ns
  if weighs then
    -- Others have had their parts, or have drawn what is forgotten: the debt is as this gateway has it. One
    -- that was apart alone owes what it let pass and no more.
    local weighed_ns = math.max(debt_ns, math.min(seen_ns, window_ns))
    debt_ns, ahead_ns = weighed_ns, ahead_ns + weighed_ns - debt_ns
  end
  if status == DONE and can_pay and calls_want > 0 then
    local function room(from_ns)
      return math.max(0, math.floor((window_ns - from_ns) / interval_ns))
    end
    -- What is spent later than now is paid for as if it were spent at the very end of its lease.
    local leased_from_ns = math.max(debt_ns, lease_ns)
    if lease_ns > 0 and room(leased_from_ns) >= math.max(calls_need, 1) then
      calls, is_leased = math.min(calls_want, room(leased_from_ns)), 1
      debt_ns = leased_from_ns + calls * interval_ns
    else
      calls = math.min(calls_need, room(debt_ns))
      debt_ns = debt_ns + calls * interval_ns
    end
  end
  if calls < math.max(calls_need, 1) then
    wait_ns = math.max(0, debt_ns + interval_ns - window_ns)
  end
  if calls == 0 and calls_need > 0 then
    granted = 0
  end
end

local function left_for_all()
  if limit >= 0 then
    return math.max(0, limit - used)
  end
  -- Whoever still asks for a share of a limit that no longer refuses is not to take it for used up.
  return asks_hard and math.max(need, want, 1) or 0
end

-- Of words that overtake each other the later one stays.
redis.call('HSET', KEYS[1], 'since', whole(since_ms), 'asked', whole(asked_ms),
  own_beat, whole(math.max(word, last_word)) .. ' ' .. whole(now_ms))
if counts then
  -- What calls wait for is as good as used.
  local spent = need > 0 and can_pay and hold + math.min(need, granted) or 0
  used, held = used + granted, held + granted - spent
  put('used', whole(used))
  put('held', whole(held))
  put('seeded', whole(is_seeded and asked_ms or 0))
  put('revision', whole(revision))
  put('limit', whole(limit))
  put('at', whole(limited_at))
  if looked ~= quota[11] then
    put('looked', looked)
  end
  put(own, whole(total + spent) .. ' ' .. whole(hold + granted - spent) .. ' ' .. whole(seq))
  -- Lua takes some thousand words at a time, and a fleet may have more processes than that in a period.
  for i = 1, #gone, 1000 do
    redis.call('HDEL', KEYS[2], unpack(gone, i, math.min(i + 999, #gone)))
  end
  for i = 1, #set, 1000 do
    redis.call('HSET', KEYS[2], unpack(set, i, math.min(i + 999, #set)))
  end
  if past or not quota[1] then
    redis.call('PEXPIREAT', KEYS[2], whole(end_ms + keep_ms))
  end
  local is_noted = running_ms == start_ms and tonumber(running[2]) >= end_ms
  if not is_noted and runs(start_ms, end_ms) and (status == DONE or is_confirmed) then
    redis.call('HSET', KEYS[4], 'start', whole(start_ms), 'end', whole(end_ms))
    redis.call('PEXPIREAT', KEYS[4], whole(end_ms + keep_ms + PERIOD_KEPT_MS))
  end
end
if interval_ns > 0 then
  redis.call('HSET', KEYS[3], 'debt', whole(debt_ns), 'at', whole(now_us), 'window',
    whole(window_ns), own, whole(seq), 'ahead', whole(ahead_ns), own_owed, whole(seq) .. ' ' .. whole(owed_ns))
  -- A debt that is paid back is the same as none; the rest is for repeats that come late.
  redis.call('PEXPIRE', KEYS[3], whole(math.ceil(debt_ns / 1000000) + 60000))
end
return {status, was_seq, used, held, granted, calls, debt_ns, wait_ns, is_leased,
  math.max(0, since_ms + roll_ms - now_ms), left_for_all(),
  seeds < 0 and freeable or 0, is_missed and 1 or 0}
