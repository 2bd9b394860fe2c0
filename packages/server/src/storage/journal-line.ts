import { crc32 } from 'node:zlib';

/** The number of the format of journals. */
export const format = 1;

/** The first line of a journal, which says of what it is one, and the number of the record in the second. */
export function headerLine(kind: string, first: number): string {
  const checksum = checksumOf(`${kind} ${format} ${first}`);
  return `{"sluice":"journal","kind":"${kind}","format":${format},"first":${first},"crc":"${checksum}"}\n`;
}

/** The line of a record in JSON: its number, its checksum, and the record. */
export function recordLine(sequence: number, json: string): string {
  return `${beginOf(sequence)}${checksumOf(`${sequence} ${json}`)}","record":${json}}\n`;
}

/** What the line of that record begins with, whatever it is. */
export function beginOf(sequence: number): string {
  return `{"seq":${sequence},"crc":"`;
}

const headerShape = /^\{"sluice":"journal","kind":"([a-z]+)","format":(\d+),"first":(\d+),"crc":"([0-9a-f]{8})"\}$/;
const recordShape = /^\{"seq":(\d+),"crc":"([0-9a-f]{8})","record":(.*)\}$/s;

/** What a journal is one of, and the number of its first record; or what is wrong with the line. */
export function readHeader(line: string): { readonly kind: string; readonly first: number } | string {
  const [whole, kind, found, first, checksum] = headerShape.exec(line) ?? [];
  if (whole === undefined) return 'it is not the first line of a journal';
  if (Number(found) !== format) return `its format is ${found}, and this version knows ${format} only`;
  if (checksumOf(`${kind} ${found} ${first}`) !== checksum) return 'its checksum does not match what it says';
  return { kind: kind!, first: Number(first) };
}

/** The record of that number, or what is wrong with the line. */
export function readRecord(line: string, sequence: number): { readonly record: unknown } | string {
  const [whole, found, checksum, json] = recordShape.exec(line) ?? [];
  if (whole === undefined) return 'it is not a record';
  if (checksumOf(`${found} ${json}`) !== checksum) return 'its checksum does not match what it says';
  if (Number(found) !== sequence) return `record ${sequence} should stand there, not record ${found}`;
  return { record: JSON.parse(json!) };
}

function checksumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}
