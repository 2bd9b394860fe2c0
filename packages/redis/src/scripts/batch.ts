import { consume } from './consume.js';
import { leaseFunction } from './lease.js';
import { lower } from './lower.js';
import { release } from './release.js';
import { reset } from './reset.js';

/**
 * Does what many calls ask for, one after the other, each as if it had come alone: what one of them cannot do is its own
 * failure. Calls that ask the same of different keys share a question.
 *
 * KEYS   those of the first call, then those of the second, …
 * ARGV   the latest fence and the earliest; the fences of the calls, each in units of 100 microseconds from the earliest;
 *        what each call asks, one character per call, '0' for the first question; then per question its operation, how
 *        many keys it is about, and the arguments of the operation
 * reply  the time; then per call the reply of its operation, or a text: 'late' if it came too late, else why it failed
 */
export const batch = `${consume}${leaseFunction}${release}${lower}${reset}
local operations = { consume = consume, peek = peek, lease = lease, release = release, lower = lower, reset = reset }
local arguments = { consume = 2, peek = 2, lease = 5, release = 3, lower = 3, reset = 1 }
-- Numbers that answer for a key; the others answer with one in all.
local answers = { consume = 3, peek = 3, lease = 5 }

local questions, a = {}, 5
while a <= #ARGV do
  local operation, n = ARGV[a], tonumber(ARGV[a + 1])
  local each = answers[operation]
  local question = { run = operations[operation], keys = n, from = a + 2, answers = each and each * n or 1 }
  -- The usual question is asked without detours.
  if each == 3 and n == 1 then
    question.terms, question.cost, question.takes = terms_of(ARGV[a + 2]), tonumber(ARGV[a + 3]), operation == 'consume'
    question.decide = deciders[question.terms.letter]
  end
  questions[#questions + 1] = question
  a = a + 2 + arguments[operation] * n
end

-- Most often nothing is late, and nobody looks at a fence.
local late = {}
local earliest = tonumber(ARGV[2])
if now > earliest then
  for offset in string.gmatch(ARGV[3], '%d+') do late[#late + 1] = now > earliest + offset * 100 end
end

local k, at, asked, byte, pcall = 1, 2, ARGV[4], string.byte, pcall
for i = 1, #asked do
  local question = questions[byte(asked, i) - 47]
  local decide, done, failure = question.decide, false, 'late'
  if not late[i] then
    if decide then
      local allowed, left, fresh, retry, from
      done, allowed, left, fresh, retry, from = pcall(decide, KEYS[k], question.terms, question.cost, question.takes)
      if done then write(at, allowed, left, fresh, retry, from) else failure = allowed end
    else
      done, failure = pcall(question.run, k, question.keys, question.from, at)
    end
  end
  if done then
    at = at + question.answers
  else
    for j = #reply, at, -1 do reply[j] = nil end
    reply[at] = type(failure) == 'table' and failure.err or failure
    at = at + 1
  end
  k = k + question.keys
end
return reply
`;
