/** A case that is no delivery: it does what it says, or tells why there is nothing to do. */
import type { Test } from 'tap';
import type { Target } from './send.ts';

export type Check = (t: Test, at: Target) => Promise<unknown>;

/** A sentence instead of a check: what is missing, or which other test shows it. */
export type Checks = Record<string, Check | string>;

export const notBuilt = (what: string) => `not built yet: ${what}`;
export const shownBy = (file: string, what: string) => `shown by ${file}: ${what}`;
