-- What the limits of one connection have left, for all processes of a hub: `tally.py` says why it is right, and is the same.
-- KEYS: the connection's pause, the processes, then one a limit. ARGV[1]: msgpack of what is asked (see shared.py).
-- Returns microseconds to wait (0: taken) and how many processes there are.
local LEASE, TICKS, GRACE, LOOK_AGAIN, KEEP = 90000000, 64, 1000000, 20000, 604800000
local asked = cmsgpack.unpack(ARGV[1])
local now = asked.now
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function use(rule, state, at, cost)
  if cost > 0 then
    local tick = math.floor(at / (rule.per / TICKS))
    state.used[tick] = (state.used[tick] or 0) + cost
  end
end

local function sum(map)
  local total = 0
  for _, each in pairs(map) do total = total + each end
  return total
end

local function free(rule, state)
  if rule.model == 'bucket' then return state.level end
  local ghost = 0
  if rule.model == 'window' and state.ghost > now then ghost = (state.ghost - now) * state.size / rule.per end
  return state.size - state.held - sum(state.used) - ghost
end

local function assume_used(rule, state)
  state.level = math.min(state.level, 0)
  state.at = now
  state.ghost = now + (rule.per or 0)
end

local function load(key, rule)
  local text = redis.call('GET', key)
  local state
  if text then
    state = cmsgpack.unpack(text)
    if state.declared ~= rule.size or state.pace ~= (rule.rate or 0) then
      state.size, state.rate, state.declared, state.pace = rule.size, rule.rate, rule.size, rule.rate or 0
    end
  else
    -- never seen, or flushed: what was used before is not known
    state = {size = rule.size, rate = rule.rate, declared = rule.size, pace = rule.rate or 0, level = rule.size, at = now,
             ghost = now, used = {}, open = {}, spent = 0, virtual = 0, finished = {}, wanting = {}}
    assume_used(rule, state)
  end
  if asked.used then assume_used(rule, state) end
  state.held = 0
  for permit, each in pairs(state.open) do
    if each[2] <= now then
      state.open[permit] = nil
      if rule.model == 'window' then use(rule, state, now, each[1]) end
    else
      state.held = state.held + each[1]
    end
  end
  if rule.model == 'bucket' then
    local restored = math.max(0, now - state.at) * state.rate
    state.level = math.min(state.size - state.held, state.level + restored)
  elseif rule.model == 'window' then
    for tick in pairs(state.used) do
      if (tick + 1) * (rule.per / TICKS) + rule.per <= now then state.used[tick] = nil end
    end
  end
  state.at = math.max(state.at, now)
  return state
end

local function start_of(state, key)
  local waiting = state.wanting[key]
  if waiting and waiting[3] > now then return waiting[1] end
  return math.max(state.virtual, state.finished[key] or 0)
end

local function ticks_of(state)
  local ticks = {}
  for tick in pairs(state.used) do ticks[#ticks + 1] = tick end
  table.sort(ticks)
  return ticks
end

local function until_free(rule, state, need)
  if rule.model == 'concurrent' then return LOOK_AGAIN end
  if rule.model == 'bucket' then
    local late = 0
    if need > state.size - state.held then late = LOOK_AGAIN end
    return math.max(late, (need - state.level) / state.rate)
  end
  local missing, pace, ghost = need - free(rule, state), state.size / rule.per, math.max(0, state.ghost - now)
  for _, tick in ipairs(ticks_of(state)) do
    local at = (tick + 1) * (rule.per / TICKS) + rule.per - now
    if missing <= math.min(at, ghost) * pace then return missing / pace end
    missing = missing - state.used[tick]
    if missing <= math.min(at, ghost) * pace then return at end
  end
  if missing <= ghost * pace then return missing / pace end
  return rule.per
end

local function wait_for(rule, state, key, cost)
  if cost == 0 then return 0 end
  local start, owed = start_of(state, key), 0
  for other, each in pairs(state.wanting) do
    if each[3] <= now then
      state.wanting[other] = nil
    elseif other ~= key and each[1] < start then
      owed = owed + each[2]
    end
  end
  local need = math.min(cost + owed, state.size)
  if free(rule, state) >= need then return 0 end
  return math.max(1000, until_free(rule, state, need))
end

local function take(state, permit, key, weight, cost)
  local start = start_of(state, key)
  state.wanting[key] = nil
  state.virtual = math.max(state.virtual, start)
  for name, finish in pairs(state.finished) do
    if finish <= state.virtual then state.finished[name] = nil end
  end
  state.finished[key] = start + cost / weight
  state.spent = state.spent + cost
  state.open[permit] = {cost, now + LEASE, state.spent, state.held}
  state.held = state.held + cost
  state.level = state.level - cost
end

local function learn(rule, state, report, known)
  if report.rate and report.rate > 0 then state.rate = report.rate end
  if report.size and report.size > 0 then state.size = report.size end
  local left = report.remaining
  if not left or rule.model == 'concurrent' then return end
  local later = known and (state.spent - known[3] + known[4])
  if rule.model == 'bucket' then
    state.level = math.min(state.level, left, state.size - state.held)
    if later then state.level = math.max(state.level, math.min(left - later, state.size - state.held)) end
    return
  end
  local ours = free(rule, state)
  if ours > left then
    use(rule, state, now + math.min(report.reset or rule.per, rule.per) - rule.per, ours - left)
  elseif later and state.ghost > now and left - later > ours then
    state.ghost = state.ghost - (left - later - ours) * rule.per / state.size
  end
end

local function settle(rule, state, permit, actual, report)
  local known = state.open[permit]
  if known then
    state.open[permit] = nil
    state.held = state.held - known[1]
    local cost = known[1]
    if actual and rule.model ~= 'concurrent' then cost = actual end
    if rule.model == 'window' then use(rule, state, now, cost) end
    state.level = state.level + known[1] - cost
  end
  if report then learn(rule, state, report, known) end
end

local states = {}
for number, rule in ipairs(asked.rules) do states[number] = load(KEYS[number + 2], rule) end
for _, each in ipairs(asked.settled or {}) do
  for number, rule in ipairs(asked.rules) do
    settle(rule, states[number], each.permit, each.actual[number] or nil, each.reports[number] or nil)
  end
  if each.pause > 0 and each.pause > redis.call('PTTL', KEYS[1]) then redis.call('SET', KEYS[1], 1, 'PX', each.pause) end
end

local wait, processes = 0, 0
if asked.permit then
  redis.call('ZADD', KEYS[2], now, asked.owner)
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 60000000)
  processes = redis.call('ZCARD', KEYS[2])
  wait = math.max(0, redis.call('PTTL', KEYS[1])) * 1000
  local own = {}
  for number, rule in ipairs(asked.rules) do
    local state, cost = states[number], asked.costs[number]
    cost = rule.model == 'concurrent' and 1 or cost
    own[number] = wait_for(rule, state, asked.keys[number], cost)
    wait = math.max(wait, own[number])
  end
  for number, rule in ipairs(asked.rules) do
    local state, key, cost = states[number], asked.keys[number], asked.costs[number]
    cost = rule.model == 'concurrent' and 1 or cost
    if wait == 0 then
      take(state, asked.permit, key, asked.weight, cost)
    elseif own[number] > 0 then
      state.wanting[key] = {start_of(state, key), math.min(cost, state.size), now + own[number] + GRACE}
    end
  end
end
for number in ipairs(asked.rules) do
  states[number].held = nil
  redis.call('SET', KEYS[number + 2], cmsgpack.pack(states[number]), 'PX', KEEP)
end
return {math.ceil(wait), processes}
