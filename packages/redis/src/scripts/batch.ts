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
 * ARGV   the latest fence, the earliest fence, the number of questions; per question its operation, how many keys it is
 *        about, and the arguments of the operation; then per call a number: its fence, in units of 100 microseconds from the
 *        earliest, times the number of questions, plus the number of its question, counted from 0
 * reply  the time; then per call the reply of its operation, or a text: 'late' if it came too late, else why it failed
 */
export const batch = `${consume}${leaseFunction}${release}${lower}${reset}
local operations = { consume = consume, peek = peek, lease = lease, release = release, lower = lower, reset = reset }
local arguments = { consume = 2, peek = 2, lease = 5, release = 3, lower = 3, reset = 1 }
-- Numbers that answer for a key; the others answer with one in all.
local answers = { consume = 3, peek = 3, lease = 5 }

local earliest, count = tonumber(ARGV[2]), tonumber(ARGV[3])
local questions, a = {}, 4
for i = 0, count - 1 do
  local operation, n = ARGV[a], tonumber(ARGV[a + 1])
  local each = answers[operation]
  questions[i] = { run = operations[operation], keys = n, from = a + 2, answers = each and each * n or 1 }
  a = a + 2 + arguments[operation] * n
end

local k, at = 1, 2
for i = a, #ARGV do
  local call = tonumber(ARGV[i])
  local question = questions[call % count]
  local done, failure = false, 'late'
  if now <= earliest + floor(call / count) * 100 then
    done, failure = pcall(question.run, k, question.keys, question.from, at)
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
