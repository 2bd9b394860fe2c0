import { crc32 } from 'node:zlib';

/** The number of the format of journals. */
export const format = 1;

/** The first line of a journal, which says the number of the record in the second. */
export function headerLine(first: number): string {
  return `{"sluice":"journal","format":${format},"first":${first},"crc":"${checksumOf(`${format} ${first}`)}"}\n`;
}

/** The line of a record in JSON: its number, its checksum, and the record. */
export function recordLine(sequence: number, json: string): string {
  return `${beginOf(sequence)}${checksumOf(`${sequence} ${json}`)}","record":${json}}\n`;
}

/** What the line of that record begins with, whatever it is. */
export function beginOf(sequence: number): string {
  return `{"seq":${sequence},"crc":"`;
}

const headerShape = /^\{"sluice":"journal","format":(\d+),"first":(\d+),"crc":"([0-9a-f]{8})"\}$/;
const recordShape = /^\{"seq":(\d+),"crc":"([0-9a-f]{8})","record":(.*)\}$/s;

/** The number of the first record, or what is wrong with the line. */
export function readHeader(line: string): number | string {
  const [whole, found, first, checksum] = headerShape.exec(line) ?? [];
  if (whole === undefined) return 'it is not the first line of a journal';
  if (Number(found) !== format) return `its format is ${found}, and this version knows ${format} only`;
  if (checksumOf(`${found} ${first}`) !== checksum) return 'its checksum does not match what it says';
  return Number(first);
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
