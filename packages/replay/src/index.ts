export { type AccessLog, AccessLogBuilder, type ClientKind, type Malformed } from './access-log.js';
export { type LogLine, parseLogLine } from './log-line.js';
export { InputError, type ReadOptions, readLog } from './log-reader.js';
export { type Playback, play, type RefusedClient } from './player.js';
export { jsonReport, type ReportOptions, textReport } from './report.js';
export type { Timeline } from './timeline.js';
export { type Trial, type TrialPolicy, trialsOf } from './trial.js';
