import { counts, type LuaAlgorithm } from './lua-algorithm.js';

/** State: breaches; until when the key is blocked; and when it is all forgotten. A cost of 0 looks, any other is a breach. */
export const penalty: LuaAlgorithm = {
  code: 'p',
  name: 'penalty',

  terms: (policy) => {
    const { doubles, longest, memory, restarts } = policy.penalty!;
    const flags = `${doubles ? 1 : 0} ${restarts ? 1 : 0}`;
    return `${counts(policy)} ${policy.limit} ${policy.window} ${longest} ${memory} ${flags}`;
  },

  functions: `
local function penalty(key, terms, cost, take)
  local _, limit, window, longest, memory, doubles, restarts = unpack(terms)
  local function duration(breaches)
    return min(window * (doubles == 1 and 2 ^ max(0, breaches - limit) or 1), longest)
  end

  local breaches, till, forget = load(key, 3)
  local changed = false
  if breaches and now >= forget then breaches, till, forget = nil, nil, nil end
  if breaches then
    -- After a step back of the clock, or under a shorter block, it ends a block's duration from now at the latest.
    local ends = min(till, now + duration(breaches))
    local forgotten = min(forget, max(ends, now) + memory)
    changed = ends ~= till or forgotten ~= forget
    till, forget = ends, forgotten
  end
  local blocked = breaches and now < till

  if take and cost > 0 and (not blocked or restarts == 1) then
    if not blocked then breaches = (breaches or 0) + 1 end
    till = breaches >= limit and now + duration(breaches) or 0
    forget = max(till, now) + memory
    changed = true
  end
  if take and changed then save(key, forget, breaches, till, forget) end

  till = till or 0
  local allowed = now >= till
  return allowed, allowed and max(1, limit - (breaches or 0)) or 0, forget or now, till, now
end
`,

  back: `
-- A breach is not undone by giving units back.
local function penalty_back() end
`,
};
