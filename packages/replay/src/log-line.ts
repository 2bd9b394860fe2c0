import { isIP } from 'node:net';

/** A LogLine is what a replay needs of one line of an access log: who came, and when. */
export interface LogLine {
  /** The client's address or host name, as logged. */
  readonly host: string;
  /** The authenticated user; absent where the log has `-`. */
  readonly user: string | undefined;
  /** Seconds since the epoch. */
  readonly time: number;
  /** The time zone the line was written in, in minutes east of UTC. */
  readonly offset: number;
}

const timePattern = /^\[(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)$/;
const timeLength = '[29/Feb/2016:23:59:59 +0000'.length;
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The closing quote of a request, with status and bytes behind it; other formats put more fields behind these. */
const responsePattern = /" \d{3} (?:\d+|-)(?: |$)/;

/** The most characters before the time: no server takes a longer header, and a user name comes in one. */
const longestClient = 32_768;
/** The most characters of a host name. */
const longestHost = 255;

/** Reads a line in Common or Combined Log Format; `undefined` for what is none. */
export function parseLogLine(line: string): LogLine | undefined {
  // Nothing that a client sends can forge this end of the time: servers escape quotes, in user names too.
  const end = line.indexOf('] "');
  const start = end - timeLength;
  if (start < 1 || start > longestClient || line[start - 1] !== ' ') return undefined;
  const time = parseTime(line.slice(start, end));
  const client = parseClient(line.slice(0, start - 1));
  // A quote escaped within the request might match as well, which does no harm: nothing is read from there.
  if (time === undefined || client === undefined || !responsePattern.test(line.slice(end + 3))) return undefined;
  return { ...client, ...time };
}

/** Reads `host ident user`; a user name may contain spaces. */
function parseClient(text: string): { host: string; user: string | undefined } | undefined {
  const first = text.indexOf(' ');
  const second = text.indexOf(' ', first + 1);
  if (first < 1 || first > longestHost || second < first + 2) return undefined;
  const ident = text.slice(first + 1, second);
  // An address there means that the line begins with the name of a virtual host (vhost_combined): without this,
  // everybody would be one and the same client.
  if (ident !== '-' && isIP(ident) !== 0) return parseClient(text.slice(first + 1));
  const user = text.slice(second + 1);
  return { host: text.slice(0, first), user: user === '-' || user === '' || user === '""' ? undefined : user };
}

function parseTime(text: string): { time: number; offset: number } | undefined {
  const match = timePattern.exec(text);
  if (match === null) return undefined;
  const month = months.indexOf(match[2]!);
  const [day, year, hour, minute, second, zoneHours, zoneMinutes] = [1, 3, 4, 5, 6, 8, 9].map((i) => Number(match[i]));
  // A second may be the sixtieth. Beyond these years, times would not fit 32 bits.
  if (month < 0 || year! < 1970 || year! > 2099 || hour! > 23 || minute! > 59 || second! > 60) return undefined;
  if (zoneHours! > 14 || zoneMinutes! > 59) return undefined;
  const midnight = new Date(Date.UTC(year!, month, day!));
  if (midnight.getUTCDate() !== day) return undefined;
  const offset = (match[7] === '-' ? -1 : 1) * (zoneHours! * 60 + zoneMinutes!);
  const time = midnight.getTime() / 1_000 + hour! * 3_600 + (minute! - offset) * 60 + second!;
  return time >= 0 ? { time, offset } : undefined;
}
