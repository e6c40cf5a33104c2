/** What an alert rule is about: something that comes and goes. */
export type Condition = {
  comes: () => Promise<unknown>;
  goes: () => Promise<unknown>;
  /** Seconds that it has to last. */
  after?: number;
  /** Seconds that pass between what comes and the first look at it. */
  later?: number;
  /** Seconds that pass between the end of the condition and that of the alert. */
  until?: number;
};
