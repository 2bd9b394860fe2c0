/** Writes that the audit log tells of, and bytes that it takes in JSON, at the most; the latest write is always in it. */
export const auditLength = 10_000;
export const auditBytes = 16 * 2 ** 20;
